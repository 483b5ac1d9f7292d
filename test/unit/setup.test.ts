import { brotliCompressSync, brotliDecompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { backportsSource, candidateMajor, findAdapter, SetupFailure, tarMember } from "../../scripts/setup-driver.js";

describe("findAdapter", () => {
  it("returns what the child says, even if the child crashes afterwards", () => {
    const adapter = { name: "llvmpipe", type: "CPU" } as const;
    expect(findAdapter(`console.log("noise"); console.log('${JSON.stringify(adapter)}'); process.abort();`)).toEqual(
      adapter,
    );
  });

  it("returns null when the child finds none, crashes or hangs", () => {
    expect(findAdapter("console.log(null)")).toBeNull();
    expect(findAdapter("process.abort()")).toBeNull();
    expect(findAdapter("setInterval(() => {}, 1000)", 500)).toBeNull();
  });

  it("says so when the package webgpu is missing", () => {
    expect(() => findAdapter('await import("no-such-package-as-this")')).toThrow(SetupFailure);
  });
});

describe("candidateMajor", () => {
  it.each([
    ["mesa-vulkan-drivers:\n  Installed: (none)\n  Candidate: 22.3.6-1+deb12u2\n", 22],
    ["mesa-vulkan-drivers:\n  Installed: 1:25.0.7\n  Candidate: 1:25.0.7-0ubuntu0.24.04.2\n", 25],
    ["mesa-vulkan-drivers:\n  Installed: (none)\n  Candidate: (none)\n", 0],
    ["", 0],
  ])("%j", (policy, major) => expect(candidateMajor(policy)).toBe(major));
});

describe("backportsSource", () => {
  const deb822 = [
    "Types: deb deb-src",
    "# a comment",
    "URIs: http://mirror.example/debian",
    "Suites: bookworm bookworm-updates",
    "Components: main",
    "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg",
    "",
    "Types: deb",
    "URIs: http://mirror.example/debian-security",
    "Suites: bookworm-security",
    "Components: main",
  ].join("\n");

  it("takes mirror and key from a .sources file", () => {
    expect(backportsSource([deb822], "bookworm")).toBe(
      "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.example/debian bookworm-backports main\n",
    );
  });

  it("takes mirror and options from a .list file", () => {
    const list =
      "# deb http://old.example/debian bookworm main\ndeb [arch=amd64] https://mirror.example/debian bookworm main\n";
    expect(backportsSource([list], "bookworm")).toBe(
      "deb [arch=amd64] https://mirror.example/debian bookworm-backports main\n",
    );
    expect(backportsSource(["deb http://m.example/debian bookworm main"], "bookworm")).toBe(
      "deb http://m.example/debian bookworm-backports main\n",
    );
  });

  it("adds nothing when backports are there, unless they are switched off", () => {
    const stanza = "Types: deb\nURIs: http://m.example/debian\nSuites: bookworm-backports\nComponents: main\n";
    expect(backportsSource([deb822, stanza], "bookworm")).toBeNull();
    expect(backportsSource([deb822, "deb http://m.example/debian bookworm-backports main"], "bookworm")).toBeNull();
    expect(backportsSource([deb822, `Enabled: no\n${stanza}`], "bookworm")).toContain("bookworm-backports");
  });

  it("refuses to guess a mirror", () => {
    expect(() => backportsSource(["deb http://m.example/debian trixie main"], "bookworm")).toThrow(
      /no mirror for bookworm/,
    );
  });
});

describe("tarMember", () => {
  const archive = Buffer.concat([
    tarEntry("first.txt", Buffer.alloc(700, 1)),
    tarEntry("lib.so", Buffer.from("ELF!")),
    Buffer.alloc(1024),
  ]);

  it("finds a file behind another one", () => {
    expect(tarMember(brotliDecompressSync(brotliCompressSync(archive)), "lib.so").toString()).toBe("ELF!");
    expect(tarMember(archive, "first.txt")).toEqual(Buffer.alloc(700, 1));
  });

  it("refuses an absent, cut off or empty archive", () => {
    expect(() => tarMember(archive, "other.so")).toThrow(SetupFailure);
    expect(() => tarMember(archive.subarray(0, 512 * 4 + 2), "lib.so")).toThrow(SetupFailure);
    expect(() => tarMember(Buffer.alloc(0), "lib.so")).toThrow(SetupFailure);
  });
});

function tarEntry(name: string, content: Buffer): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write(content.length.toString(8).padStart(11, "0"), 124);
  return Buffer.concat([header, content, Buffer.alloc(-content.length & 511)]);
}
