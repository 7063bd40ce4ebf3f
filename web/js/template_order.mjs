// The pack's templates in the order of their numbers: the host hands them out as the disk lists them.

import { api } from "../../../scripts/api.js";

const PACK = decodeURIComponent(new URL(import.meta.url).pathname.split("/extensions/")[1]?.split("/")[0] ?? "");

/** Sort the pack's own entries of what the host lists. */
export function orderTemplates() {
  const { getWorkflowTemplates } = api;
  if (!getWorkflowTemplates) return;
  api.getWorkflowTemplates = async function (...details) {
    const found = await getWorkflowTemplates.apply(this, details);
    if (Array.isArray(found?.[PACK])) found[PACK].sort();
    return found;
  };
}
