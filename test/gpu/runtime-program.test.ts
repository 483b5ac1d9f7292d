import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import { testDevice, upload } from "./harness.js";
import { recordAffine } from "./runtime-kernels.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device?.close());

const range = (n: number, f = (i: number) => i) => Float32Array.from({ length: n }, (_, i) => f(i));

/** y = scale * x + offset with scalars `scale` and `offset`, x persistent. */
async function affineProgram(n = 100) {
  const p = new Program(device, "affine");
  const x = upload(p, "x", [n], range(n));
  const y = recordAffine(p, x, { scale: p.scalar("scale"), offset: p.scalar("offset") });
  p.keep(y);
  await p.compile();
  return { p, x, y };
}

describe("replay", () => {
  test("creates no buffer, bind group or pipeline in 1,000 runs, and memory stays", async () => {
    const { p, y } = await affineProgram();
    await p.run({ scale: 1, offset: 0 }, [y]).get();
    const before = { ...device.counters };
    const memory = device.memory();
    for (let i = 0; i < 1000; i++) {
      const reading = p.run({ offset: i }, i % 50 === 0 ? [y] : []);
      if (i % 50 === 0) expect((await reading.f32())[2]).toBe(2 + i);
    }
    await device.idle();
    expect(device.counters).toEqual({
      ...before,
      dispatches: before.dispatches + 1000,
      submits: before.submits + 1000,
    });
    expect(device.memory()).toEqual(memory);
    p.destroy();
  });

  test("patches every use of a scalar, keeps the others, and remembers values between runs", async () => {
    const p = new Program(device, "scalars");
    const x = upload(p, "x", [4], range(4));
    const a = recordAffine(p, x, { scale: p.scalar("s"), offset: 10 });
    const b = recordAffine(p, a, { scale: 2, offset: p.scalar("s") });
    p.keep(a, b);
    await p.compile();
    const at = async (values: Record<string, number>) => (await p.run(values, [a, b]).get()).map((v) => Array.from(v));
    const expected = (s: number) => {
      const first = [0, 1, 2, 3].map((i) => s * i + 10);
      return [first, first.map((v) => 2 * v + s)];
    };
    expect(await at({ s: 0.5 })).toEqual(expected(0.5));
    expect(await at({ s: -3 })).toEqual(expected(-3));
    expect(await at({})).toEqual(expected(-3));
    p.destroy();
  });

  test("u32 scalars keep all 32 bits, f32 scalars are rounded once", async () => {
    const p = new Program(device, "types");
    const out = p.persistent("out", [2], "u32");
    p.dispatch({
      kernel: {
        name: "test.scalars",
        bindings: [{ name: "out", type: "u32", access: "read_write" }],
        uniforms: [
          ["a", "u32"],
          ["b", "f32"],
        ],
        workgroup: [1, 1, 1],
        body: "@compute fn main() { out[0] = u.a; out[1] = bitcast<u32>(u.b); }",
      },
      label: "scalars",
      tensors: { out },
      uniforms: { a: p.scalar("a"), b: p.scalar("b") },
      workgroups: [1, 1, 1],
    });
    await p.compile();
    const [words] = await p.run({ a: 0xffff_fffe, b: 0.1 }, [out]).get();
    expect(Array.from(words!)).toEqual([0xffff_fffe, new Uint32Array(new Float32Array([0.1]).buffer)[0]]);
    p.destroy();
  });

  test("what is read back belongs to its own run, even when the next one is queued already", async () => {
    const { p, y } = await affineProgram();
    const readings = [0, 1, 2, 3].map((i) => p.run({ scale: i, offset: -i }, [y]));
    for (const [i, reading] of [...readings.entries()].reverse()) {
      expect(await reading.f32()).toEqual(range(100, (k) => i * k - i));
    }
    p.destroy();
  });

  test("a reading can be asked twice, by index and as a whole", async () => {
    const { p, x, y } = await affineProgram(3);
    const reading = p.run({ scale: 2, offset: 1 }, [x, y]);
    expect(Array.from(await reading.f32(1))).toEqual([1, 3, 5]);
    expect(Array.from(await reading.f32(0))).toEqual([0, 1, 2]);
    expect((await reading.get()).length).toBe(2);
    p.destroy();
  });

  test("input written between two runs is used by the later one only", async () => {
    const { p, x, y } = await affineProgram(3);
    const first = p.run({ scale: 1, offset: 0 }, [y]);
    device.write(x, Float32Array.of(7, 8, 9));
    const second = p.run({}, [y]);
    expect(Array.from(await first.f32())).toEqual([0, 1, 2]);
    expect(Array.from(await second.f32())).toEqual([7, 8, 9]);
    p.destroy();
  });
});

describe("programs", () => {
  test("share persistent tensors, in the order in which they run", async () => {
    const shared = device.tensor("shared", [8]);
    device.write(shared, range(8));
    const double = new Program(device, "double");
    recordAffine(double, recordAffine(double, shared, { scale: 2 }), { into: shared });
    const add = new Program(device, "add");
    recordAffine(add, recordAffine(add, shared, { offset: 1 }), { into: shared });
    await Promise.all([double.compile(), add.compile()]);
    for (const p of [double, add, add, double]) p.run();
    expect(new Float32Array(await device.read(shared))).toEqual(range(8, (i) => 2 * (2 * i + 2)));
    double.destroy();
    add.run();
    expect(new Float32Array(await device.read(shared))[0]).toBe(5); // destroying one leaves what is not its own
    add.destroy();
    device.free(shared);
  });

  test("reuse memory: a chain of 40 values lives in two arenas", async () => {
    const p = new Program(device, "chain");
    let x = upload(p, "x", [1000], range(1000));
    for (let i = 0; i < 40; i++) x = recordAffine(p, x, { offset: 1 });
    p.keep(x);
    expect(p.measure().plan.arenas).toEqual([4096, 4096]);
    await p.compile();
    expect(await p.run({}, [x]).f32()).toEqual(range(1000, (i) => i + 40));
    p.destroy();
  });

  test("a kept value survives what is computed after it, under any shape", async () => {
    const p = new Program(device, "kept");
    const x = upload(p, "x", [64], range(64));
    const first = recordAffine(p, x, { scale: 3 });
    p.keep(first.reshape(8, 8));
    let y = first;
    for (let i = 0; i < 6; i++) y = recordAffine(p, y, { offset: 1 });
    p.keep(y);
    await p.compile();
    const [a, b] = await p.run({}, [first.reshape(4, 16), y]).get();
    expect(a).toEqual(range(64, (i) => 3 * i));
    expect(b).toEqual(range(64, (i) => 3 * i + 6));
    p.destroy();
  });

  test("refuse what cannot work, by name, where it is recorded", async () => {
    const p = new Program(device, "wrong");
    const x = upload(p, "x", [4], range(4));
    const y = p.transient("y", [4]);
    const kernel = {
      name: "test.twin",
      bindings: [
        { name: "a", type: "f32", access: "read" },
        { name: "b", type: "f32", access: "read_write" },
      ],
      uniforms: [["n", "u32"]],
      workgroup: [1, 1, 1],
      body: "@compute fn main() { b[0] = a[0] + f32(u.n); }",
    } as const;
    const call = {
      kernel,
      label: "h0.sum",
      tensors: { a: x, b: y },
      uniforms: { n: 1 },
      workgroups: [1, 1, 1],
    } as const;
    expect(() => p.dispatch({ ...call, tensors: { a: x } })).toThrow(/^test\.twin h0\.sum: no tensor for b$/);
    expect(() => p.dispatch({ ...call, uniforms: {} })).toThrow(/^test\.twin h0\.sum: no value for n$/);
    expect(() => p.dispatch({ ...call, workgroups: [65_536, 1, 1] })).toThrow(
      /^test\.twin h0\.sum: 65536,1,1 workgroups; at most 65535/,
    );
    p.dispatch({ ...call, tensors: { a: y, b: y } });
    await expect(p.compile()).rejects.toThrow(/^test\.twin h0\.sum: a and b are one value$/);
    expect(() => p.run()).toThrow(/wrong is not compiled, or was destroyed/);
  });

  test("refuse wrong uses after recording", async () => {
    const { p, x, y } = await affineProgram(4);
    const other = new Program(device, "other");
    const foreign = other.transient("foreign", [4]);
    expect(() => p.run({ offset: 1 })).toThrow(/^affine needs a value for scale in its first run$/);
    expect(() => p.run({ scale: 1, offset: 0, speed: 1 })).toThrow(/^affine has no scalar speed$/);
    expect(() => p.run({}, [foreign])).toThrow(/^foreign belongs to other$/);
    expect(() => recordAffine(p, x, {})).toThrow(/^affine: test\.affine affine comes after compile/);
    expect(() => p.keep(y)).toThrow(/comes after compile/);
    await expect(p.compile()).rejects.toThrow(/comes after compile/);
    expect(Array.from(await p.run({}, [y]).f32())).toEqual([0, 1, 2, 3]);
    p.destroy();
    expect(() => p.run()).toThrow(/affine is not compiled, or was destroyed/);
  });

  test("do not give out values that are not kept", async () => {
    const p = new Program(device, "loose");
    const a = recordAffine(p, upload(p, "x", [4], range(4)), {});
    const b = recordAffine(p, a, {});
    p.keep(b);
    await p.compile();
    expect(() => p.run({}, [a])).toThrow(/^loose: y cannot be read after a run unless it is kept$/);
    p.destroy();
  });

  test("a reshape must keep the number of elements", () => {
    const p = new Program(device, "reshape");
    expect(() => p.transient("t", [4, 6]).reshape(5, 5)).toThrow(/cannot view t \[4,6\] as \[5,5\]: 24 elements/);
  });
});
