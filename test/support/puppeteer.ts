import { defineBrowserProvider } from '@vitest/browser';
import type { Browser, Page } from 'puppeteer';
import { launchBrowser } from '../../tools/page.mjs';

/** vitest's browser mode on an installed Chrome, Chromium or Firefox, driven by Puppeteer. */
export function puppeteer(name: 'chromium' | 'firefox') {
  return defineBrowserProvider({
    name: 'puppeteer',
    supportedBrowser: [name],
    providerFactory: () => {
      let browser: Promise<Browser> | undefined;
      const pages = new Map<string, Page>();
      return {
        name: 'puppeteer',
        supportsParallelism: false,
        getCommandsContext: (sessionId) => ({ page: pages.get(sessionId) }),
        openPage: async (sessionId, url) => {
          browser ??= launchBrowser(name === 'firefox' ? name : 'chrome');
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
