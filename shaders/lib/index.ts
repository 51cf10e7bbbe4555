import attention from './attention.wgsl' with { type: 'text' };
import attentionForward from './attentionForward.wgsl' with { type: 'text' };
import attentionGradients from './attentionGradients.wgsl' with { type: 'text' };
import attentionQueries from './attentionQueries.wgsl' with { type: 'text' };
import attentionRows from './attentionRows.wgsl' with { type: 'text' };
import attentionTiles from './attentionTiles.wgsl' with { type: 'text' };
import attentionWide from './attentionWide.wgsl' with { type: 'text' };
import bits from './bits.wgsl' with { type: 'text' };
import draw from './draw.wgsl' with { type: 'text' };
import elementwise from './elementwise.wgsl' with { type: 'text' };
import findings from './findings.wgsl' with { type: 'text' };
import lstm from './lstm.wgsl' with { type: 'text' };
import lstmSequence from './lstmSequence.wgsl' with { type: 'text' };
import math from './math.wgsl' with { type: 'text' };
import norm from './norm.wgsl' with { type: 'text' };
import normBackward from './normBackward.wgsl' with { type: 'text' };
import order from './order.wgsl' with { type: 'text' };
import packed from './packed.wgsl' with { type: 'text' };
import philox from './philox.wgsl' with { type: 'text' };
import product from './product.wgsl' with { type: 'text' };
import productBlocks from './productBlocks.wgsl' with { type: 'text' };
import random from './random.wgsl' with { type: 'text' };
import rows from './rows.wgsl' with { type: 'text' };
import sideSum from './sideSum.wgsl' with { type: 'text' };
import status from './status.wgsl' with { type: 'text' };
import store from './store.wgsl' with { type: 'text' };

/** The shared functions, by the name that a shader's first line uses for them. */
export const library: Readonly<Record<string, string>> = {
  'attention.wgsl': attention,
  'attentionForward.wgsl': attentionForward,
  'attentionGradients.wgsl': attentionGradients,
  'attentionQueries.wgsl': attentionQueries,
  'attentionRows.wgsl': attentionRows,
  'attentionTiles.wgsl': attentionTiles,
  'attentionWide.wgsl': attentionWide,
  'bits.wgsl': bits,
  'draw.wgsl': draw,
  'elementwise.wgsl': elementwise,
  'findings.wgsl': findings,
  'lstm.wgsl': lstm,
  'lstmSequence.wgsl': lstmSequence,
  'math.wgsl': math,
  'norm.wgsl': norm,
  'normBackward.wgsl': normBackward,
  'order.wgsl': order,
  'packed.wgsl': packed,
  'philox.wgsl': philox,
  'product.wgsl': product,
  'productBlocks.wgsl': productBlocks,
  'random.wgsl': random,
  'rows.wgsl': rows,
  'sideSum.wgsl': sideSum,
  'status.wgsl': status,
  'store.wgsl': store,
};
