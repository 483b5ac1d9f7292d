import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { html, jsonMarkup } from "../../../src/pages/html.js";
import { htmlPage } from "../../../src/pages/node-page.js";
import { plotLibrary } from "../../../src/pages/node-plot.js";

describe("html", () => {
  it("escapes text for content and for quoted attributes", () => {
    const text = `"'><script>&amp;`;
    expect(html`<p title="${text}">${text}</p>`.markup).toBe(
      '<p title="&#34;&#39;&#62;&#60;script&#62;&#38;amp;">&#34;&#39;&#62;&#60;script&#62;&#38;amp;</p>',
    );
  });

  it("keeps markup, joins lists and writes numbers", () => {
    expect(html`<ul>${["<", html`<li>${1}</li>`, [2, ""]]}</ul>`.markup).toBe("<ul>&#60;<li>1</li>2</ul>");
  });
});

describe("jsonMarkup", () => {
  it("cannot end its script element, and means the same", () => {
    const value = { "</script>": ["<!--<script>", "\u2028", 'a"b\\'] };
    const { markup } = jsonMarkup(value);
    expect(markup).not.toContain("<");
    expect(JSON.parse(markup)).toEqual(value);
  });
});

describe("htmlPage", () => {
  const policy = (page: string) =>
    /Content-Security-Policy" content="([^"]*)"/.exec(page)?.[1]?.replaceAll("&#39;", "'");

  it("allows its own scripts and nothing from the network", () => {
    const script = "console.log(1 < 2);";
    const page = htmlPage({ title: "a < b", body: html`<p>x</p>`, scripts: [script], data: { a: "</script>" } });
    const hash = createHash("sha256").update(script).digest("base64");
    expect(policy(page)).toBe(
      `default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-${hash}'`,
    );
    expect(page).toContain("<title>a &#60; b</title>");
    expect(page.match(/<\/script>/g)).toHaveLength(2);
    expect(page).toContain(`<script>${script}</script>`);
  });

  it("allows no script where there is none", () => {
    expect(policy(htmlPage({ title: "t", body: html`` }))).toMatch(/script-src 'none'$/);
  });
});

describe("plotLibrary", () => {
  it("is small, with its licence, and does not end the element that it is put into", () => {
    const { script, style } = plotLibrary();
    expect(script.length + style.length).toBeLessThan(60_000);
    expect(script).toContain("Permission is hereby granted");
    expect(script + style).not.toMatch(/<\/(script|style)|<!--/i);
    expect(script + style).not.toMatch(/@import|url\(/);
  });
});
