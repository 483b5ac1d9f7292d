/** A page that goes wrong in the way it is asked to. */
export async function run(fault: "throw" | "log" | "request" | "escape" | "none"): Promise<string> {
  switch (fault) {
    case "throw":
      throw new Error("thrown on purpose");
    case "log":
      console.error("logged on purpose");
      return "logged";
    case "request":
      return (await fetch("/files/weights/flickr8k-small/absent.json")).statusText;
    case "escape":
      return (await fetch("/files/weights/flickr8k-small/..%2f..%2fpackage.json")).text();
    case "none": {
      const headers = { range: "bytes=2-8" };
      const reply = await fetch("/files/weights/flickr8k-small/clipcap.json", { headers });
      return `${reply.status} ${reply.headers.get("content-range")} ${(await reply.text()).length}`;
    }
  }
}
