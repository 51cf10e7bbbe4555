import draw from '../../shaders/lib/draw.wgsl' with { type: 'text' };
import philox from '../../shaders/lib/philox.wgsl' with { type: 'text' };
import random from '../../shaders/lib/random.wgsl' with { type: 'text' };
import { addLibrary } from './library.ts';

/** The generator of random numbers, for kernels and expressions that draw. */
addLibrary({ draw, philox, random });
