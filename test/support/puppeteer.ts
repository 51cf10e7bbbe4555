import { defineBrowserProvider } from '@vitest/browser';
import { type Browser, launch, type Page } from 'puppeteer';
import { chromeFlags, ensureBrowser } from '../../tools/machine.mjs';

/** vitest's browser mode on an installed Chrome or Chromium, driven by Puppeteer. */
export function puppeteer() {
  return defineBrowserProvider({
    name: 'puppeteer',
    supportedBrowser: ['chromium'],
    providerFactory: () => {
      let browser: Promise<Browser> | undefined;
      const pages = new Map<string, Page>();
      const start = async () =>
        launch({
          executablePath: await ensureBrowser(),
          args: chromeFlags,
          // A suite on a software adapter keeps the page busy for longer than the default of three minutes.
          protocolTimeout: 0,
        });
      return {
        name: 'puppeteer',
        supportsParallelism: false,
        getCommandsContext: (sessionId) => ({ page: pages.get(sessionId) }),
        openPage: async (sessionId, url) => {
          browser ??= start();
          const page = await (await browser).newPage();
          pages.set(sessionId, page);
          await page.goto(url);
        },
        getCDPSession: async (sessionId) => {
          const page = pages.get(sessionId);
          if (!page) throw new Error(`no page for the session ${sessionId}`);
          const session = await page.createCDPSession();
          return session as never;
        },
        close: async () => {
          await (await browser)?.close();
        },
      };
    },
  });
}
