/** Loaded first into a child process (`--import`), this leaves two groups to `clipcap bench --end-to-end`; the first one fails. */
import { amount } from "../../src/bench/end-to-end/measurement.js";
import { GROUPS, type Group } from "../../src/bench/end-to-end/node-groups.js";
import { ClipCapError } from "../../src/runtime/errors.js";

async function* measured(what: string, then?: Error) {
  yield amount({ what, model: "m", how: "h" }, 1, "MB");
  if (then) throw then;
}

const lost = new ClipCapError("device-lost", "the GPU device was lost; open a new one");
(GROUPS as Group[]).splice(
  0,
  GROUPS.length,
  { name: "lost", measure: () => measured("before", lost) },
  { name: "good", measure: () => measured("after") },
);
