import { describe, expect, test } from "vitest";
import type { Device } from "../../src/runtime/device.js";
import type { ClipCapError } from "../../src/runtime/errors.js";
import { read, write } from "../../src/runtime/kernel.js";
import { Program } from "../../src/runtime/program.js";
import { testDevice, upload } from "./harness.js";
import { recordAffine, recordSlow } from "./runtime-kernels.js";

async function withDevice(use: (device: Device) => Promise<void>): Promise<void> {
  const device = await testDevice();
  try {
    await use(device);
  } finally {
    device.close();
  }
}

/** What a promise is rejected with; fails when it is fulfilled. */
async function rejection(promise: Promise<unknown>): Promise<ClipCapError> {
  return promise.then(
    () => expect.fail("was not rejected"),
    (error: ClipCapError) => error,
  );
}

/** Work that keeps the adapter busy for a while, with a wait for its end. */
async function busy(device: Device): Promise<{ program: Program; waiting: Promise<unknown> }> {
  const program = new Program(device, "busy");
  const y = recordSlow(program, 300_000);
  await program.compile();
  return { program, waiting: program.run({}, [y]).get() };
}

/** An allocation that no adapter grants: 1 TiB, as the texture that WebGPU still allows. Raises the driver's own error. */
function exhaust(gpu: GPUDevice): void {
  const size = [gpu.limits.maxTextureDimension2D, gpu.limits.maxTextureDimension2D, gpu.limits.maxTextureArrayLayers];
  gpu.createTexture({ size, format: "rgba32float", usage: 1 });
}

/** From now on the GPU has no memory for buffers of this label. */
function refuseBuffers(device: Device, label: string): void {
  const create = device.gpu.createBuffer.bind(device.gpu);
  device.gpu.createBuffer = (descriptor) => {
    if (descriptor.label !== label) return create(descriptor);
    exhaust(device.gpu);
    // What WebGPU returns then: an invalid buffer. This one is refused for its size.
    device.gpu.pushErrorScope("validation");
    const invalid = create({ ...descriptor, size: device.limits.maxBufferBytes + 4 });
    device.gpu.popErrorScope();
    return invalid;
  };
}

describe("invalid WGSL", () => {
  test("names kernel, purpose, line and the lines around it", () =>
    withDevice(async (device) => {
      const p = new Program(device, "broken");
      const body = ["@compute fn main() {", "  let a = x[0];", "  let b = a + missing;", "  y[0] = b;", "}"].join("\n");
      p.dispatch({
        kernel: {
          name: "test.broken",
          bindings: [read("x"), write("y")],
          uniforms: [["n", "u32"]],
          workgroup: [1, 1, 1],
          body,
        },
        label: "h3.c_fc",
        tensors: { x: p.persistent("x", [4]), y: p.transient("y", [4]) },
        uniforms: { n: 1 },
        workgroups: [1, 1, 1],
      });
      const error = await rejection(p.compile());
      expect(error.code).toBe("validation");
      expect(error.message.split("\n")).toEqual([
        "kernel test.broken for h3.c_fc: unresolved value 'missing' (line 7)",
        "     4 | @group(0) @binding(2) var<storage, read_write> y: array<f32>;",
        "     5 | @compute @workgroup_size(1, 1, 1) fn main() {",
        "     6 |   let a = x[0];",
        ">    7 |   let b = a + missing;",
        "     8 |   y[0] = b;",
        "     9 | }",
        "    10 | ",
      ]);
      expect(device.memory().byLabel.broken).toBeUndefined();
      await device.idle(); // other work on the device goes on
    }));

  test("a limit that only the pipeline exceeds is named too", async () => {
    const device = await testDevice({ limits: "default" });
    try {
      const kernel = {
        name: "test.large",
        bindings: [write("y")],
        uniforms: [["n", "u32"]],
        workgroup: [64, 8, 1],
        body: "@compute fn main(@builtin(local_invocation_index) i: u32) { y[i] = f32(u.n); }",
      } as const;
      const error = await rejection(device.kernel(kernel, "h0"));
      expect(error.code).toBe("validation");
      expect(error.message).toMatch(/^kernel test\.large for h0: .*512.*256/s);
    } finally {
      device.close();
    }
  });

  test("two kernels of one name are refused", () =>
    withDevice(async (device) => {
      const kernel = (body: string) =>
        ({ name: "test.same", bindings: [write("y")], uniforms: [["n", "u32"]], workgroup: [1, 1, 1], body }) as const;
      await device.kernel(kernel("@compute fn main() { y[0] = 1.0; }"));
      expect(() => device.kernel(kernel("@compute fn main() { y[0] = 2.0; }"))).toThrow(
        "two kernels are called test.same",
      );
    }));
});

describe("invalid work", () => {
  test("is rejected with program, kernel and label where it is waited for, and nothing is read", () =>
    withDevice(async (device) => {
      const p = new Program(device, "gpt2");
      const gone = device.tensor("h3.weight", [64]);
      const x = upload(p, "x", [64], new Float32Array(64));
      const y = recordAffine(p, recordAffine(p, x, { label: "h2" }), { label: "h3", into: gone });
      await p.compile();
      expect(y).toBe(gone);
      device.free(gone);
      const error = await rejection(p.run({}, [x]).get());
      expect(error.code).toBe("validation");
      expect(error.message).toMatch(/^gpt2: kernel test\.affine h3: .*destroyed/s);
      expect((await rejection(device.idle())).message).toBe(error.message);
    }));

  test("a binding that does not fit its kernel is named when the program is compiled", () =>
    withDevice(async (device) => {
      const p = new Program(device, "gpt2");
      const x = p.persistent("x", [4]);
      if (x.storage.kind !== "buffers") throw new Error("not persistent");
      const { buffer } = x.storage.parts[0]!;
      const uniform = device.uniformBuffer("not storage", 16);
      Object.assign(x.storage.parts[0]!, { buffer: uniform });
      p.keep(recordAffine(p, x, { label: "h0.ln_1" }));
      const error = await rejection(p.compile());
      expect(error.code).toBe("validation");
      expect(error.message).toMatch(/^gpt2: kernel test\.affine h0\.ln_1: .*usage/s);
      device.release(buffer);
    }));

  test("outside of programs is an error of the device", () =>
    withDevice(async (device) => {
      device.gpu.createBuffer({ label: "odd", size: device.limits.maxBufferBytes + 5, usage: 8 });
      await expect(device.gpu.queue.onSubmittedWorkDone().then(() => device.idle())).rejects.toMatchObject({
        code: "validation",
        message: expect.stringMatching(/odd/),
      });
    }));
});

describe("out of memory", () => {
  test("rejects every wait until the allocation is given up; then the device goes on", () =>
    withDevice(async (device) => {
      refuseBuffers(device, "huge");
      const before = device.memory().byLabel;
      const t = device.tensor("huge", [1000]);
      device.write(t, new Float32Array(1000)); // loaders write before they wait
      const expected = {
        code: "out-of-memory",
        message: expect.stringMatching(/^the GPU has no 0\.0 MiB left for huge; /),
      };
      await expect(device.settle()).rejects.toMatchObject(expected);
      await expect(device.idle()).rejects.toMatchObject(expected);
      await expect(device.read(t)).rejects.toMatchObject(expected);
      device.free(t);
      await device.settle();
      const p = new Program(device, "after");
      const y = recordAffine(p, upload(p, "x", [4], [1, 2, 3, 4]), { scale: 2 });
      p.keep(y);
      await p.compile();
      expect(Array.from(await p.run({}, [y]).f32())).toEqual([2, 4, 6, 8]);
      p.destroy();
      expect(device.memory().byLabel.huge).toBe(before.huge);
    }));

  test("while a program compiles destroys the program and nothing else", () =>
    withDevice(async (device) => {
      const keep = device.tensor("keep", [4]);
      device.write(keep, Float32Array.of(1, 2, 3, 4));
      refuseBuffers(device, "p.arena0");
      const p = new Program(device, "p");
      p.keep(recordAffine(p, upload(p, "x", [1000], new Float32Array(1000)), {}));
      await expect(p.compile()).rejects.toMatchObject({ code: "out-of-memory" });
      expect(device.memory().byLabel.p).toBeUndefined();
      expect(Array.from(new Float32Array(await device.read(keep)))).toEqual([1, 2, 3, 4]);
    }));

  test("somewhere inside WebGPU ends the device", () =>
    withDevice(async (device) => {
      exhaust(device.gpu);
      await expect(device.gpu.queue.onSubmittedWorkDone().then(() => device.idle())).rejects.toMatchObject({
        code: "out-of-memory",
      });
    }));
});

describe("a device that ends", () => {
  test("by loss rejects the call that waits, at once, and all later ones", () =>
    withDevice(async (device) => {
      const { program, waiting } = await busy(device);
      device.gpu.destroy();
      const error = await rejection(waiting);
      expect(error.code).toBe("device-lost");
      expect(error.message).toMatch(/^the GPU device was lost \(.+\); open a new one$/);
      expect(() => program.run()).toThrow(error);
      expect(() => device.tensor("t", [4])).toThrow(error);
      expect((await rejection(device.idle())).code).toBe("device-lost");
      device.close();
      expect(device.memory().used).toBe(0);
    }));

  test("by close rejects the call that waits, and all later ones say so", async () => {
    const device = await testDevice();
    const { program, waiting } = await busy(device);
    const t = device.tensor("t", [4]);
    device.close();
    expect((await rejection(waiting)).code).toBe("device-closed");
    const closed = expect.objectContaining({
      code: "device-closed",
      message: "this device was closed; open a new one",
    });
    expect(() => program.run()).toThrow(closed);
    expect(() => device.tensor("t", [4])).toThrow(closed);
    expect(() => device.write(t, new Float32Array(4))).toThrow(closed);
    expect(await rejection(device.read(t))).toEqual(closed);
    expect(await rejection(device.idle())).toEqual(closed);
    expect(await rejection(new Program(device, "late").compile())).toEqual(closed);
    expect(device.memory().used).toBe(0);
    program.destroy();
    device.free(t);
    device.close(); // again does no harm
  });

  test("while kernels compile rejects the compile", async () => {
    const device = await testDevice();
    const p = new Program(device, "p");
    p.keep(recordAffine(p, p.persistent("x", [4]), {}));
    const compiling = p.compile();
    device.close();
    expect((await rejection(compiling)).code).toBe("device-closed");
    expect(device.memory().used).toBe(0);
  });
});
