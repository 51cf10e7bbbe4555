/** What the shaders of attention share. */

import attention from '../../shaders/lib/attention.wgsl' with { type: 'text' };
import attentionElements from '../../shaders/lib/attentionElements.wgsl' with { type: 'text' };
import attentionForward from '../../shaders/lib/attentionForward.wgsl' with { type: 'text' };
import attentionGradients from '../../shaders/lib/attentionGradients.wgsl' with { type: 'text' };
import attentionOther from '../../shaders/lib/attentionOther.wgsl' with { type: 'text' };
import attentionProducts from '../../shaders/lib/attentionProducts.wgsl' with { type: 'text' };
import attentionRow from '../../shaders/lib/attentionRow.wgsl' with { type: 'text' };
import attentionRows from '../../shaders/lib/attentionRows.wgsl' with { type: 'text' };
import attentionStart from '../../shaders/lib/attentionStart.wgsl' with { type: 'text' };
import attentionTile from '../../shaders/lib/attentionTile.wgsl' with { type: 'text' };
import attentionTiles from '../../shaders/lib/attentionTiles.wgsl' with { type: 'text' };
import attentionWide from '../../shaders/lib/attentionWide.wgsl' with { type: 'text' };
import attentionWideProducts from '../../shaders/lib/attentionWideProducts.wgsl' with { type: 'text' };
import attentionWideSums from '../../shaders/lib/attentionWideSums.wgsl' with { type: 'text' };
import { addLibrary } from './library.ts';
import './blocksLibrary.ts';
import './randomLibrary.ts';

addLibrary({
  attention,
  attentionElements,
  attentionForward,
  attentionGradients,
  attentionOther,
  attentionProducts,
  attentionRow,
  attentionRows,
  attentionStart,
  attentionTile,
  attentionTiles,
  attentionWide,
  attentionWideProducts,
  attentionWideSums,
});
