/**
 * Loaded first into a child process (`--import`), this spoils a case of `clipcap bench` as CLIPCAP_BREAK says: the first
 * one's kernel does not compile, or the second one loses the device.
 */
import { Program } from "../../src/runtime/program.js";

const { compile } = Program.prototype;
let cases = 0;
Program.prototype.compile = function (options) {
  const nth = this.label === "bench" ? ++cases : 0;
  const first = this.dispatches[0]!;
  if (process.env.CLIPCAP_BREAK === "kernel" && nth === 1) {
    this.dispatches[0] = { ...first, kernel: { ...first.kernel, name: "broken", body: "nonsense" } };
  }
  if (process.env.CLIPCAP_BREAK === "device" && nth === 2) this.device.gpu.destroy();
  return compile.call(this, options);
};
