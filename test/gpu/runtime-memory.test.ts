import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { embedding } from "../../src/kernels/embedding/embedding.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import { nmse, testDevice, upload, values } from "./harness.js";
import { recordAffine } from "./runtime-kernels.js";

const MIB = 2 ** 20;

let device: Device;
beforeAll(async () => {
  device = await testDevice({ limits: "default" });
});
afterAll(() => device?.close());

describe("the ledger", () => {
  test("counts tensors by label, remembers the peak, and returns to where it was", () => {
    const start = device.memory();
    const a = device.tensor("a", [1000]);
    const b = device.tensor("b", [3, 256], "f16", { account: "weights" });
    const c = device.tensor("c", [2, 256], "q8", {
      account: "weights",
      scale: device.tensor("c.scale", [2], "f32", { account: "weights" }),
    });
    const now = device.memory();
    expect(now.used - start.used).toBe(4000 + 1536 + 512 + 16);
    expect(now.byLabel.a).toBe(4000);
    expect(now.byLabel.weights).toBe(1536 + 512 + 16);
    expect(now.peak).toBeGreaterThanOrEqual(now.used);
    for (const t of [a, b, c]) device.free(t);
    device.free(a); // twice does no harm
    expect(device.memory().used).toBe(start.used);
    expect(device.memory().byLabel).toEqual(start.byLabel);
    expect(device.memory().peak).toBe(Math.max(start.peak, now.used));
  });

  test("knows the bytes of a program before it is allocated, and counts the same", async () => {
    const start = device.memory();
    const p = new Program(device, "planned");
    let x = upload(p, "x", [5000], values("x", 5000));
    for (let i = 0; i < 5; i++) x = recordAffine(p, x, { offset: 1 });
    p.keep(x);
    const persistent = device.memory().used - start.used;
    expect(persistent).toBe(20_000);
    const { plan, largestBinding } = p.measure();
    expect(plan.arenas).toEqual([20_224, 20_224]); // 20,000 rounded up to the alignment of 256
    expect(largestBinding).toBe(20_000);
    expect(device.memory().used - start.used).toBe(persistent); // measuring allocates nothing
    await p.compile();
    const { byLabel, used } = device.memory();
    expect(byLabel.planned).toBe(persistent + 2 * 20_224);
    expect(used - start.used).toBe(byLabel.planned! + (byLabel.uniforms ?? 0) - (start.byLabel.uniforms ?? 0));
    p.destroy();
    p.destroy();
    expect(device.memory().byLabel).toEqual(start.byLabel);
  });

  test("keeps small staging buffers for reuse and gives large ones back", async () => {
    const [small, large] = [device.tensor("small", [1000]), device.tensor("large", [5 * MIB])];
    await device.read(small);
    const before = { ...device.counters };
    const { byLabel } = device.memory();
    await device.read(small);
    expect(device.counters.buffers).toBe(before.buffers);
    await device.read(large);
    expect(device.memory().byLabel).toEqual(byLabel);
    for (const t of [small, large]) device.free(t);
  });
});

describe("a tensor above the binding limit", () => {
  test("is split between rows, and reads back as it was written", async () => {
    const [rows, columns] = [140, 256 * 1024]; // 140 MiB in f32; the limit is 128 MiB
    const t = device.tensor("big", [rows, columns]);
    if (t.storage.kind !== "buffers") throw new Error("not persistent");
    expect(t.storage.parts.map((p) => [p.start, p.end])).toEqual([
      [0, 128],
      [128, 140],
    ]);
    const line = values("line", 3 * columns);
    device.write(t, line, 126); // rows 126, 127 in the first part, 128 in the second
    const back = new Float32Array(await device.read(t));
    expect(back.subarray(126 * columns, 129 * columns)).toEqual(line);
    expect(back.subarray(0, 126 * columns).every((v) => v === 0)).toBe(true);
    expect(back.subarray(129 * columns).every((v) => v === 0)).toBe(true);
    device.free(t);
  });

  test("serves an embedding lookup from all of its parts", async () => {
    const [V, C] = [50_257, 768]; // GPT-2's token embedding: 147 MiB
    const p = new Program(device, "lookup");
    const table = p.persistent("wte", [V, C]);
    const ids = [0, 43_690, 43_691, V - 1]; // 43,690 rows fit in the first part
    const rows = ids.map((id) => values(`row ${id}`, C));
    for (const [i, id] of ids.entries()) device.write(table, rows[i]!, id);
    const out = embedding(p, upload(p, "ids", [4], ids, "u32"), table, { label: "lookup" });
    p.keep(out);
    await p.compile();
    const got = await p.run({}, [out]).f32();
    expect(
      nmse(
        got,
        rows.flatMap((row) => Array.from(row)),
      ),
    ).toBe(0);
    p.destroy();
  });

  test("cannot be bound or kept as one", async () => {
    const t = device.tensor("big", [140, 256 * 1024]);
    expect(() => recordAffine(new Program(device, "one"), t, {})).toThrow(/at most 65535/);
    const p = new Program(device, "split");
    p.dispatch({
      kernel: {
        name: "test.bind",
        bindings: [{ name: "x", type: "f32", access: "read_write" }],
        uniforms: [["value", "f32"]],
        workgroup: [1, 1, 1],
        body: "@compute fn main() { x[0] = u.value; }",
      },
      label: "bind",
      tensors: { x: t },
      uniforms: { value: 1 },
      workgroups: [1, 1, 1],
    });
    await expect(p.compile()).rejects.toThrow(/big is split in 2; bind its parts one by one/);
    device.free(t);
  });

  test("is refused when even one row does not fit", () => {
    expect(() => device.tensor("wide", [2, 40 * MIB])).toThrow(
      /one row of wide \[2,41943040\] takes 160\.0 MiB, above this device's binding limit of 128\.0 MiB/,
    );
  });

  test("as a value of a program is refused by name before anything is allocated", async () => {
    const before = device.memory();
    const p = new Program(device, "batch");
    const x = device.tensor("x", [4]);
    p.keep(recordAffine(p, x, { into: p.transient("logits", [40, MIB]), label: "logits" }));
    await expect(p.compile()).rejects.toMatchObject({
      code: "out-of-memory",
      message:
        "batch: logits [40,1048576] takes 160.0 MiB, above this device's binding limit of 128.0 MiB; " +
        "use a smaller batch",
    });
    device.free(x);
    expect(device.memory().byLabel).toEqual(before.byLabel);
  });
});

describe("writing", () => {
  test("takes whole rows that the tensor has", async () => {
    const t = device.tensor("t", [4, 3]);
    const refused = /t \[4,3\] has rows of 12 bytes; \d+ bytes from row \d on are no whole rows of it/;
    expect(() => device.write(t, new Float32Array(5))).toThrow(refused);
    expect(() => device.write(t, new Float32Array(15))).toThrow(refused);
    expect(() => device.write(t, new Float32Array(6), 3)).toThrow(refused);
    device.write(t, Float32Array.of(1, 2, 3, 4, 5, 6), 2);
    expect(Array.from(new Float32Array(await device.read(t)))).toEqual([0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6]);
    device.free(t);
  });

  test("reads only the viewed part of a larger array, and pads odd lengths", async () => {
    const t = device.tensor("odd", [5], "f16");
    device.write(t, new Uint16Array([9, 9, 1, 2, 3, 4, 5, 9]).subarray(2, 7));
    expect(Array.from(new Uint16Array(await device.read(t)))).toEqual([1, 2, 3, 4, 5]);
    device.free(t);
  });

  test("refuses values that live inside a program", async () => {
    const y = new Program(device, "p").transient("y", [4]);
    expect(() => device.write(y, new Float32Array(4))).toThrow(/y lives inside a program/);
    await expect(device.read(y)).rejects.toThrow(/y lives inside a program/);
  });
});

describe("too little memory", () => {
  test("maxMemory refuses before the GPU is asked, and says what to do", async () => {
    const small = await testDevice({ maxMemory: MIB });
    try {
      const used = small.memory().used;
      const t = small.tensor("first", [128 * 1024]);
      expect(() => small.tensor("second", [256 * 1024])).toThrow(
        expect.objectContaining({
          code: "out-of-memory",
          message: expect.stringMatching(
            /^second needs 1\.0 MiB of GPU memory, but 0\.5 MiB of the allowed 1\.0 MiB are in use; use a smaller model/,
          ),
        }),
      );
      expect(small.memory().limit).toBe(MIB);
      small.free(t);
      small.free(small.tensor("third", [200 * 1024])); // there is room again
      expect(small.memory().used).toBe(used);
    } finally {
      small.close();
    }
  });

  test("refuses a split tensor as a whole", async () => {
    const small = await testDevice({ limits: "default", maxMemory: 150 * MIB });
    try {
      const { used } = small.memory();
      expect(() => small.tensor("big", [160, 256 * 1024])).toThrow(/big needs 160\.0 MiB/);
      expect(small.memory().used).toBe(used);
    } finally {
      small.close();
    }
  });

  test("a program that does not fit leaves nothing behind", async () => {
    const small = await testDevice({ maxMemory: MIB });
    try {
      const { byLabel } = small.memory();
      const p = new Program(small, "p");
      const x = upload(p, "x", [100_000], values("x", 100_000));
      p.keep(recordAffine(p, recordAffine(p, x, {}), {}));
      await expect(p.compile()).rejects.toMatchObject({ code: "out-of-memory" });
      expect(small.memory().byLabel).toEqual(byLabel);
    } finally {
      small.close();
    }
  });

  test("a device that cannot even be probed is closed again", async () => {
    if (device.lanes === 0) return; // there is nothing to probe
    await expect(testDevice({ maxMemory: 16 })).rejects.toMatchObject({ code: "out-of-memory" });
  });

  test("on a CPU adapter the machine's memory is the limit", async () => {
    if (!device.adapter.isCpu) return;
    expect(device.memory().limit).toBeGreaterThan(2 ** 28);
    expect(device.memory().limit).toBeLessThan(2 ** 50);
  });

  test("refuses a buffer above the device's largest", () => {
    expect(() => device.buffer("huge", 300 * MIB)).toThrow(
      /huge needs one buffer of 300\.0 MiB; this device allows 256\.0 MiB/,
    );
  });
});
