// Styles as files: those that come with the pack, and the user's own in ComfyUI's user folder, a JSON that can be shared.

import { api } from "../../../scripts/api.js";
import { say } from "./words.mjs";

export const FILE = "ar_guidance_styles.json";
const [FORMAT, VERSION] = ["ar-guidance styles", 1];
const LONGEST = 80; // letters of a name
const EMPTY = { format: FORMAT, version: VERSION, styles: [] };

/**
 * What a file says: {styles, content, problem}. `styles` are the entries that are whole, `content` all of it, so that what this
 * version does not know is kept when it is written again; `problem` is a sentence, and then nothing may be written over it.
 */
export function parseStyles(text, name) {
  let content;
  try {
    content = JSON.parse(text);
  } catch {
    return lost(say("{0} is not valid JSON. Fix it, or move it away.", name));
  }
  if (content?.format !== FORMAT || !Array.isArray(content.styles)) return lost(say("{0} holds no styles of AR Guidance.", name));
  if (!(Number(content.version) <= VERSION)) return lost(say("{0} was written by a newer version of AR Guidance. Update to use it.", name));
  const styles = content.styles.filter(whole);
  const broken = content.styles.length - styles.length;
  return { styles, content, problem: "", note: broken ? say("{0} entries of {1} cannot be read and are left as they are.", broken, name) : "" };
}

function lost(problem) {
  return { styles: [], content: null, problem, note: "" };
}

function whole(style) {
  const named = typeof style?.name === "string" && style.name.trim() && style.name.length <= LONGEST;
  const plain = (part) => part === undefined || (part !== null && typeof part === "object" && !Array.isArray(part));
  const chain = style?.guidance ?? [];
  return Boolean(named && plain(style.sampler) && Array.isArray(chain) && chain.every((one) => typeof one?.node === "string" && plain(one.settings)));
}

/** The styles that come with the pack. */
export async function shippedStyles() {
  const reply = await fetch(new URL("../styles.json", import.meta.url));
  return parseStyles(await reply.text(), "styles.json").styles;
}

/** The user's own, as `parseStyles` gives them; a file that is not there is an empty one. */
export async function ownStyles() {
  const listed = await api.fetchApi("/userdata?dir=.&recurse=false&split=false&full_info=false");
  const names = listed.ok ? await listed.json() : [];
  if (!names.some((name) => String(name).replaceAll("\\", "/") === FILE)) return parseStyles(JSON.stringify(EMPTY), FILE);
  const reply = await api.getUserData(FILE);
  return reply.ok ? parseStyles(await reply.text(), FILE) : lost(say("{0} cannot be read ({1}).", FILE, reply.status));
}

/** Change the user's file: `change(styles)` gives the new list. A sentence if that is not possible, else nothing. */
export async function changeStyles(change) {
  const { content, problem } = await ownStyles();
  if (problem) return problem;
  const text = JSON.stringify({ ...content, styles: change(content.styles) }, null, 2);
  const path = `/userdata/${encodeURIComponent(FILE)}?overwrite=true`;
  const reply = await api.fetchApi(path, { method: "POST", body: text });
  return reply.ok ? "" : say("{0} cannot be written ({1}).", FILE, reply.status);
}
