// On AR Sampler and AR Seeds: the seed that made the last images, which *control after generate* may have changed since: as a badge
// beside the title, which takes no room from the node, and in the node's menu, to be used again.

import { keep, kept } from "./memory.mjs";
import { useSeed } from "./seeds.mjs";
import { say } from "./words.mjs";

const SEEDS = { ARSampler: "seed", ARSeeds: "reroll_seed" }; // the widget of each

export class LastSeed {
  /** Whether a node has a seed to show. */
  static fits(node) {
    return Object.hasOwn(SEEDS, node.comfyClass);
  }

  constructor(node) {
    this.node = node;
    if (window.LGraphBadge && Array.isArray(node.badges)) node.badges.push(() => this.badge());
    const { getExtraMenuOptions } = node;
    node.getExtraMenuOptions = (canvas, options, ...more) => {
      const given = getExtraMenuOptions?.call(node, canvas, options, ...more);
      if (this.seed) options.unshift({ content: say("use last seed {0}", this.seed), callback: () => this.use() });
      return given;
    };
  }

  /** The seed as text; an earlier node in this place may have learnt it. */
  get seed() {
    if (this.known === undefined && this.node.graph) this.known = kept(this.node, "last seed") ?? null;
    return this.known ?? null;
  }

  /** What made the images of a run, as AR Decode sends it: {sampler, reroll}, seeds as text; null where it has no part in them. */
  learn({ sampler, reroll }) {
    this.known = (this.node.comfyClass === "ARSampler" ? sampler : reroll) ?? null;
    keep(this.node, "last seed", this.known ?? undefined);
    this.node.graph?.setDirtyCanvas?.(true, true);
  }

  badge() {
    const text = this.seed ? say("last seed {0}", this.seed) : ""; // a badge without text is not drawn
    return new window.LGraphBadge({ text, fgColor: "#ddd", bgColor: "#1f3a52" });
  }

  use() {
    useSeed(this.node, SEEDS[this.node.comfyClass], this.seed);
  }
}
