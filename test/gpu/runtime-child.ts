/**
 * A process that computes on one device, closes it while a call waits, and then has nothing left to do. Prints JSON.
 * Run by runtime-device.test.ts.
 */
import { openDevice } from "../../src/node.js";
import type { ClipCapError } from "../../src/runtime/errors.js";
import { Program } from "../../src/runtime/program.js";
import { recordAffine, recordSlow } from "./runtime-kernels.js";

const device = await openDevice();
const p = new Program(device, "child");
const x = p.persistent("x", [1]);
device.write(x, Float32Array.of(7));
const y = recordAffine(p, x, { scale: 2 });
p.keep(y);
await p.compile();
const [doubled] = await p.run({}, [y]).f32();

const slow = new Program(device, "slow");
const z = recordSlow(slow, 300_000);
await slow.compile();
const waiting = slow
  .run({}, [z])
  .get()
  .then(
    () => "finished",
    (error: ClipCapError) => error.code,
  );
device.close();
console.log(JSON.stringify({ doubled, waiting: await waiting, used: device.memory().used }));
