// Notes of the shipped workflows, and the titles around them, shown in the user's language. What is saved stays English, so that a workflow
// can be shared. What somebody has written or changed stays as it is: its lines are not in the table, and without a note of ours no title is touched.

import { language } from "./words.mjs";

const KINDS = ["MarkdownNote", "Note"];
const AS_IT_IS = /^$|^\| `|^\|---/; // files and folders in tables
const tables = new Map(); // language -> promise of {English line: translated line}

/** Show a note of a graph that has been loaded, and the titles of the groups and nodes around it, in the user's language. */
export async function translateNote(node) {
  const widget = KINDS.includes(node.type) && language() !== "en" ? node.widgets?.[0] : null;
  const english = widget?.value;
  if (typeof english !== "string") return;
  const lines = await table(language());
  const said = translated(english, lines);
  if (!said || widget.value !== english) return;
  widget.value = said;
  const { onSerialize } = node;
  node.onSerialize = (saved) => {
    onSerialize?.call(node, saved);
    for (const values of [saved.widgets_values, saved.widgets_values_named])
      for (const [name, value] of Object.entries(values ?? {})) if (value === said) values[name] = english;
  };
  for (const titled of [...(node.graph?.groups ?? []), ...(node.graph?.nodes ?? [])]) translateTitle(titled, lines);
  node.graph?.setDirtyCanvas?.(true, true);
}

/** Show the title of a node or group in the user's language. */
function translateTitle(titled, lines) {
  const english = titled.title;
  if (!Object.hasOwn(lines, english)) return;
  const said = lines[english];
  titled.title = said;
  const { serialize } = titled;
  titled.serialize = (...details) => {
    const saved = serialize.apply(titled, details);
    if (saved.title === said) saved.title = english;
    return saved;
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
