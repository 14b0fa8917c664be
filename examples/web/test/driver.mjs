// A browser without a window, driven by the WebDriver protocol of `chromedriver`, and a server that counts what is asked of it.
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

const ELEMENT = "element-6066-11e4-a52e-4f735466cecf";

/** Serves one page; `requests` lists everything that was asked for. */
export async function serve(path) {
  const page = await readFile(path);
  const requests = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    const known = request.url === "/";
    response.writeHead(known ? 200 : 404, { "content-type": "text/html" }).end(known ? page : "");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { requests, url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

export class Browser {
  static async start(profile, downloads) {
    const driver = spawn(process.env.CHROMEDRIVER ?? "chromedriver", ["--port=0"], { stdio: ["ignore", "pipe", "inherit"] });
    const port = await new Promise((resolve, reject) => {
      let said = "";
      driver.on("error", reject);
      driver.on("exit", () => reject(new Error(`chromedriver ended: ${said}`)));
      driver.stdout.on("data", (data) => {
        said += data;
        const found = /successfully on port (\d+)/.exec(said);
        if (found) resolve(found[1]);
      });
    });
    const browser = new Browser();
    browser.driver = driver;
    browser.url = `http://127.0.0.1:${port}/session`;
    const args = [
      "--headless=new",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      `--user-data-dir=${profile}`,
    ];
    const alwaysMatch = { browserName: "chrome", "goog:chromeOptions": { args }, "goog:loggingPrefs": { performance: "ALL" } };
    try {
      const { sessionId } = await browser.call("POST", "", { capabilities: { alwaysMatch } });
      browser.url += `/${sessionId}`;
      const params = { behavior: "allow", downloadPath: downloads };
      await browser.call("POST", "/goog/cdp/execute", { cmd: "Browser.setDownloadBehavior", params });
    } catch (error) {
      driver.kill();
      throw error;
    }
    return browser;
  }

  async call(method, path, body) {
    const response = await fetch(this.url + path, { method, body: body && JSON.stringify(body) });
    const { value } = await response.json();
    if (value?.error) throw new Error(`${path}: ${value.message}`);
    return value;
  }

  open(url) {
    return this.call("POST", "/url", { url });
  }

  /** What a function body gives in the page. */
  run(script, ...args) {
    return this.call("POST", "/execute/sync", { script, args });
  }

  async find(selector) {
    const elements = await this.call("POST", "/elements", { using: "css selector", value: selector });
    if (elements.length === 0) throw new Error(`the page has no ${selector}`);
    return elements.map((element) => `/element/${element[ELEMENT]}`);
  }

  async click(selector) {
    const [element] = await this.find(selector);
    await this.call("POST", `${element}/click`, {});
  }

  async type(selector, text) {
    const [element] = await this.find(selector);
    await this.call("POST", `${element}/value`, { text });
  }

  press(key) {
    const actions = ["keyDown", "keyUp"].map((type) => ({ type, value: key }));
    return this.call("POST", "/actions", { actions: [{ type: "key", id: "keys", actions }] });
  }

  /** What a screen reader calls an element. */
  label(element) {
    return this.call("GET", `${element}/computedlabel`);
  }

  /** Addresses that the browser asked the network for. */
  async asked() {
    const entries = await this.call("POST", "/se/log", { type: "performance" });
    const sent = entries.map(({ message }) => JSON.parse(message).message).filter(({ method }) => method === "Network.requestWillBeSent");
    return sent.map(({ params }) => params.request.url).filter((url) => !/^(blob|data|chrome|about):/.test(url));
  }

  async close() {
    try {
      await this.call("DELETE", "");
    } finally {
      this.driver.kill();
    }
  }
}
