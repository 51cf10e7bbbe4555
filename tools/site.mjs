/** `npm run site`: builds the pages into site/, to be served as they are from any folder. */

import { build } from 'vite';
import { root } from './machine.mjs';
import { installPeers } from './peers.mjs';

await installPeers();
await build({ root, mode: 'site' });
