import { describe, expect, it } from "vitest";
import { mapAhead } from "../../src/data/ahead.js";

/** A piece of work that is finished by hand. */
function manual() {
  const begun: number[] = [];
  const finish: (() => void)[] = [];
  const work = (item: number) => {
    begun.push(item);
    return new Promise<number>((resolve) => {
      finish[item] = () => resolve(item * 10);
    });
  };
  return { begun, finish, work };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe("mapAhead", () => {
  it("begins at once, runs ahead by no more than it may, and keeps the order", async () => {
    const { begun, finish, work } = manual();
    const results = mapAhead([0, 1, 2, 3, 4, 5], { ahead: 4, atOnce: 2 }, work);
    await settled();
    expect(begun).toEqual([0, 1]);
    finish[1]!();
    await settled();
    expect(begun).toEqual([0, 1, 3]);
    finish[3]!();
    await settled();
    expect(begun).toEqual([0, 1, 3]); // 4 and 5 lie beyond the four ahead
    finish[0]!();
    expect((await results.next()).value).toBe(0);
    expect((await results.next()).value).toBe(10);
    await settled();
    expect(begun).toEqual([0, 1, 3, 2]);
  });

  it("fails where the item's turn comes, and goes on with the others behind it", async () => {
    const taken: number[] = [];
    const results = mapAhead([1, 2, 3], { ahead: 3, atOnce: 1 }, async (item) => {
      taken.push(item);
      if (item === 2) throw new Error("two");
      return item;
    });
    expect((await results.next()).value).toBe(1);
    await expect(results.next()).rejects.toThrow("two");
    await settled();
    expect(taken).toEqual([1, 2, 3]);
  });

  it("does nothing for no items", async () => {
    expect((await mapAhead([], { ahead: 3, atOnce: 1 }, async (x) => x).next()).done).toBe(true);
  });
});
