import { resolve } from "node:path";
import { expect, it } from "vitest";
import { embeddingFolder } from "../../../src/train/node-embed.js";

const folder = (source: string, images?: string, rawOrientation = false, clip = "0123456789abcdef") =>
  embeddingFolder(clip, { source, images, rawOrientation });

it("embeddings are kept apart by CLIP, data, folder of images and orientation, since names and times may agree", () => {
  const folders = [
    folder("c.jsonl"),
    folder("d.jsonl"),
    folder("c.jsonl", "a"),
    folder("c.jsonl", "b"),
    folder("c.jsonl", "a", true),
    folder("c.jsonl", "a", false, "fedcba9876543210"),
  ];
  expect(new Set(folders).size).toBe(folders.length);
});

it("and found again by whatever path leads to the same data and images", () => {
  expect(folder("./c.jsonl", "x/../a")).toBe(folder("c.jsonl", "a"));
  expect(folder(resolve("c.jsonl"), resolve("a"))).toBe(folder("c.jsonl", "a"));
});
