// Dialogs over everything: an image in full size, and whatever else opens one.

import { element } from "./dom.mjs";
import { say } from "./words.mjs";

/** Show one of several images: {url, text}. Arrow keys go to the next, Escape closes. `panel`: whose images they are. */
export function showFullSize(panel, images, at) {
  const image = element("img", { class: "arg-full", alt: "" });
  const text = element("div", { class: "arg-full-text" });
  const close = element("button", { type: "button", class: "arg-button", ".textContent": say("close") });
  const dialog = element("dialog", { class: "arg-dialog", "aria-label": say("image in full size") }, [image, text, close]);
  let shown = at;
  const show = (place) => {
    shown = (place + images.length) % images.length;
    image.src = images[shown].url;
    text.textContent = image.alt = images[shown].text;
  };
  image.addEventListener("load", () => image.classList.toggle("arg-pixels", image.naturalWidth <= 128));
  dialog.addEventListener("click", (event) => event.target !== text && dialog.close());
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") show(shown + 1);
    if (event.key === "ArrowLeft") show(shown - 1);
  });
  show(at);
  openDialog(panel, dialog);
}

/** Open a dialog of a panel; its keys stay its own, and it is gone when closed. */
export function openDialog(panel, dialog) {
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("keydown", (event) => event.stopPropagation());
  panel.append(dialog);
  dialog.showModal();
}
