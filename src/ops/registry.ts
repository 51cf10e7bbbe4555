import { aliasOp, versionOp } from '../graph/leaf.ts';
import type { OpDef } from '../graph/op.ts';
import { additiveAttentionOps } from './additiveAttention.ts';
import { attentionOps } from './attention.ts';
import { categoricalOps } from './categorical.ts';
import { checkpointOps } from './checkpoint.ts';
import { convOps } from './conv.ts';
import { crossEntropyOps } from './crossEntropy.ts';
import { ctcLossOps } from './ctcLoss.ts';
import { cumsumOps } from './cumsum.ts';
import { elementwiseOps } from './elementwise.ts';
import { embeddingOps } from './embedding.ts';
import { gatherOps } from './gather.ts';
import { gruOps } from './gru.ts';
import { indexingOps } from './indexing.ts';
import { joinOps } from './join.ts';
import { linearCrossEntropyOps } from './linearCrossEntropy.ts';
import { lstmOps } from './lstm.ts';
import { matmulOps } from './matmul.ts';
import { normOps } from './norm.ts';
import { packOps } from './packing.ts';
import { poolOps } from './pool.ts';
import { randomOps } from './random.ts';
import { reduceOps } from './reduce.ts';
import { resampleOps } from './resample.ts';
import { rnnOps } from './rnn.ts';
import { sampleOps } from './sample.ts';
import { sliceOps } from './slice.ts';
import { softmaxOps } from './softmax.ts';
import { sortOps } from './sort.ts';
import { topKOps } from './topK.ts';
import { updateOps } from './updates.ts';
import { viewOps } from './view.ts';

/**
 * All ops that take part in graphs, by name: tests walk them, and have a row for each in their tables. Leaves are missing,
 * and so is `scan`, which makes an op for each call.
 */
export const ops = {
  ...additiveAttentionOps,
  ...attentionOps,
  ...convOps,
  ...checkpointOps,
  ...elementwiseOps,
  ...embeddingOps,
  ...gatherOps,
  ...cumsumOps,
  ...sortOps,
  ...topKOps,
  ...indexingOps,
  ...joinOps,
  ...linearCrossEntropyOps,
  ...crossEntropyOps,
  ...ctcLossOps,
  ...lstmOps,
  ...gruOps,
  ...rnnOps,
  ...matmulOps,
  ...normOps,
  ...packOps,
  ...poolOps,
  ...resampleOps,
  ...updateOps,
  ...randomOps,
  ...reduceOps,
  ...categoricalOps,
  ...sampleOps,
  ...sliceOps,
  ...softmaxOps,
  ...viewOps,
  alias: aliasOp,
  version: versionOp,
} satisfies Readonly<Record<string, OpDef>>;

/** The name of an op, `scan` among them. */
export type OpName = keyof typeof ops | 'scan';
