/** A page of this project in a headless browser, for what runs there and reports here. */

import { join } from 'node:path';
import { launch } from 'puppeteer';
import { createServer, mergeConfig } from 'vite';
import { chromeFlags, ensureBrowser, ensureFirefox, firefoxPreferences, root } from './machine.mjs';

/**
 * A headless Chrome, or Firefox, that has WebGPU.
 * @param {'chrome' | 'firefox'} browser
 * @param {import('puppeteer').LaunchOptions} [options]
 */
export async function launchBrowser(browser, options = {}) {
  return launch({
    browser,
    ...(browser === 'chrome'
      ? { executablePath: await ensureBrowser(), args: chromeFlags }
      : { executablePath: await ensureFirefox(), extraPrefsFirefox: firefoxPreferences }),
    // Work on a software adapter keeps a page busy for longer than any limit.
    protocolTimeout: 0,
    ...options,
  });
}

/**
 * Serves the project, opens an empty page in headless Chrome, or Firefox, and hands it to `use`, with the address of what is served.
 * Browser and server are closed when `use` has ended. The error of a browser that ends before is `crash()`.
 * @template Result
 * @param {object} options
 * @param {'chrome' | 'firefox'} [options.browser]
 * @param {import('vite').InlineConfig} [options.config] what Vite is told beyond the defaults
 * @param {boolean} [options.ownSignals] `use` ends by itself when it is interrupted; else Chrome ends at once
 * @param {() => Error} [options.crash]
 * @param {(page: import('puppeteer').Page, url: string) => Promise<Result>} use
 * @returns {Promise<Result>}
 */
export async function withPage(
  {
    browser: name = 'chrome',
    config = {},
    ownSignals = false,
    crash = () => new Error(`${name === 'chrome' ? 'Chrome' : 'Firefox'} crashed or was closed`),
  },
  use,
) {
  /** @type {import('vite').InlineConfig} */
  const defaults = {
    root,
    configFile: join(root, 'vite.config.ts'),
    logLevel: 'error',
    clearScreen: false,
    // A file saved meanwhile must not reload the page.
    server: { host: '127.0.0.1', port: 0, hmr: false, watch: null },
    optimizeDeps: { noDiscovery: true },
  };
  const server = await createServer(mergeConfig(defaults, config));
  await server.listen();
  const url = /** @type {string} */ (server.resolvedUrls?.local[0]);
  const browser = await launchBrowser(name, { handleSIGINT: !ownSignals, handleSIGTERM: !ownSignals });
  try {
    const page = await browser.newPage();
    const crashed = new Promise((_, reject) => {
      page.on('error', () => reject(crash()));
      browser.on('disconnected', () => reject(crash()));
    });
    // Nobody waits for it where the browser is closed at the end.
    crashed.catch(() => {});
    return await Promise.race([use(page, url), /** @type {Promise<never>} */ (crashed)]);
  } finally {
    await browser.close();
    await server.close();
  }
}

/**
 * Waits for what runs in a page. Once the user has asked it to end (`asked`), it is told so (`interrupt`), and waited for.
 * @template Result
 * @param {Promise<Result>} running
 * @param {() => boolean} asked
 * @param {() => Promise<unknown>} interrupt
 * @returns {Promise<Result>}
 */
export async function interruptible(running, asked, interrupt) {
  const passOn = setInterval(() => {
    if (!asked()) return;
    clearInterval(passOn);
    interrupt().catch(() => {});
  }, 50);
  try {
    return await running;
  } finally {
    clearInterval(passOn);
  }
}

/**
 * Calls what a module of the project exports, in a page.
 * @param {import('puppeteer').Page} page
 * @param {string} module path from the root that is served
 * @param {string} name
 * @param {unknown[]} args
 * @returns {Promise<any>} what it gives, as JSON has it
 */
export function callExport(page, module, name, ...args) {
  return page.evaluate(async (path, name, args) => (await import(path))[name](...args), module, name, args);
}
