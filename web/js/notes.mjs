// Notes of the shipped workflows, shown in the user's language. What is saved stays English, so that a workflow can be shared, and a
// note that somebody has written or changed stays as it is: its lines are not in the table.

import { language } from "./words.mjs";

const KINDS = ["MarkdownNote", "Note"];
const AS_IT_IS = /^$|^\| `|^\|---/; // files and folders in tables
const tables = new Map(); // language -> promise of {English line: translated line}

/** Show a note of a graph that has been loaded in the user's language. */
export async function translateNote(node) {
  const widget = KINDS.includes(node.type) && language() !== "en" ? node.widgets?.[0] : null;
  const english = widget?.value;
  if (typeof english !== "string") return;
  const said = translated(english, await table(language()));
  if (!said || widget.value !== english) return;
  widget.value = said;
  const { onSerialize } = node;
  node.onSerialize = (saved) => {
    onSerialize?.call(node, saved);
    for (const values of [saved.widgets_values, saved.widgets_values_named])
      for (const [name, value] of Object.entries(values ?? {})) if (value === said) values[name] = english;
  };
}

/** A whole note by its lines, or null where one of them is not known. */
export function translated(text, lines) {
  const said = text.split("\n").map((line) => (AS_IT_IS.test(line) ? line : Object.hasOwn(lines, line) ? lines[line] : null));
  return said.includes(null) ? null : said.join("\n");
}

function table(code) {
  if (!tables.has(code)) tables.set(code, load(code));
  return tables.get(code);
}

async function load(code) {
  const reply = await fetch(new URL(`../notes/${code}.json`, import.meta.url));
  return reply.ok ? reply.json() : {};
}
