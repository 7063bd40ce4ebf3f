// Made by: python -m tools.method_table. What guidance methods declare in Python.

/** Nodes whose terms are added on c. */
export const LIKE_CFG = [
  "ARGuidanceCFG",
  "ARGuidanceMixed",
  "ARGuidanceSoftCFG",
  "ARGuidanceAPG",
  "ARGuidanceTCFG",
  "ARGuidanceCFGZeroStar",
];

/** Further nodes that add a term. */
export const OTHERS = [
  "ARGuidanceIGG",
];
