import { expect, test } from "vitest";
import { createDecodeState } from "../../src/kernels/decode/state.js";
import { testDevice } from "./harness.js";

test("a decoding state that does not fit leaves nothing allocated", async () => {
  const device = await testDevice({ maxMemory: 100_000 });
  try {
    const before = device.memory().used;
    // The tokens take 80 KB, the ancestry, which is made later, as much again.
    const shape = { images: 1, width: 4, maxTokens: 5000, capacity: 5000 };
    expect(() => createDecodeState(device, shape)).toThrow(/allowed/);
    expect(device.memory().used).toBe(before);
  } finally {
    device.close();
  }
});
