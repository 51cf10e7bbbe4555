import multiplyAdd from '../../shaders/lib/multiplyAdd.wgsl' with { type: 'text' };
import { addLibrary } from './library.ts';

/** Arithmetic of 4×4 blocks, for products and attention. */
addLibrary({ multiplyAdd });
