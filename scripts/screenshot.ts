/**
 * A picture of a page for the documentation: `npx tsx scripts/screenshot.ts PAGE.html PICTURE.webp [WIDTHxHEIGHT]`.
 * Needs Chromium, as `npm run test:browser` does.
 */
import sharp from "sharp";
import { openChromium } from "../test/browser/chromium.js";

const [page, picture, size = "1000x1100"] = process.argv.slice(2);
if (!page || !picture) throw new Error("give a page and a picture");
const [width, height] = size.split("x").map(Number) as [number, number];
const browser = await openChromium();
try {
  const opened = await browser.openFile(page, "light");
  await opened.page.setViewportSize({ width, height });
  await sharp(await opened.page.screenshot())
    .webp({ quality: 80 })
    .toFile(picture);
  for (const complaint of opened.complaints) throw new Error(complaint);
} finally {
  await browser.close();
}
