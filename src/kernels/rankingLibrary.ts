import ranking from '../../shaders/lib/ranking.wgsl' with { type: 'text' };
import { addLibrary } from './library.ts';

addLibrary({ ranking });
