/** Pieces of networks that TensorFlow.js has no op for. */

import * as tf from '@tensorflow/tfjs-core';

/** [T, T]: 0 where a query may look, a large negative number where not. */
export function causalMask(T: number): tf.Tensor2D {
  return tf.tensor2d(
    Float32Array.from({ length: T * T }, (_, i) => (i % T > Math.floor(i / T) ? -1e9 : 0)),
    [T, T],
  );
}

export function layerNorm(x: tf.Tensor, weight: tf.Tensor, bias: tf.Tensor): tf.Tensor {
  const { mean, variance } = tf.moments(x, -1, true);
  return tf.add(tf.mul(tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, 1e-5))), weight), bias);
}

export function crossEntropy(logits: tf.Tensor, targets: tf.Tensor): tf.Scalar {
  return tf.losses.softmaxCrossEntropy(tf.oneHot(targets, logits.shape.at(-1) as number), logits) as tf.Scalar;
}

/** In its tanh form. */
export function gelu(x: tf.Tensor): tf.Tensor {
  const cubic = tf.mul(tf.mul(x, tf.square(x)), 0.044715);
  const inner = tf.mul(tf.add(x, cubic), Math.sqrt(2 / Math.PI));
  return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(inner), 1));
}

/** One step: the input's share of the gates [B, 4H], h and c [B, H] → h and c. */
export function cell(share: tf.Tensor, h: tf.Tensor, c: tf.Tensor, weightHH: tf.Tensor): [tf.Tensor, tf.Tensor] {
  const gates = tf.add(share, tf.matMul(h, weightHH));
  const [i, f, g, o] = tf.split(gates, 4, 1) as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
  const next = tf.add(tf.mul(tf.sigmoid(f), c), tf.mul(tf.sigmoid(i), tf.tanh(g)));
  return [tf.mul(tf.sigmoid(o), tf.tanh(next)), next];
}
