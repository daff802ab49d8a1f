// Functions of one vector, included by vectors.h in each of its namespaces: the polynomials of lanes.h. No #pragma
// once, for that reason.

UDI_INLINE V exp(V x) {
  x = maximum(spread(-80.f), x);       // nothing subnormal comes of it; and this way round a NaN stays one
  const V round = spread(12582912.f);  // 1.5 * 2^23: adding it rounds to a whole number
  const V n = fma(x, spread(1.44269504f), round) - round;
  const V f = fma(n, spread(2.12194440e-4f), fma(n, spread(-0.693359375f), x)) * spread(1.44269504f);
  V y = fma(f, spread(0.0001534578771449404f), spread(0.0013399936662723774f));
  y = fma(y, f, spread(0.009618489081729346f));
  y = fma(y, f, spread(0.05550328764371379f));
  y = fma(y, f, spread(0.24022646889222207f));
  y = fma(y, f, spread(0.6931472057425303f));
  y = fma(y, f, spread(1.f));
  return times_power_of_2(y, n);
}

UDI_INLINE V gelu(V x) {
  const V t = maximum(x, zero() - x) * spread(0.70710678f);
  const V gauss = exp(zero() - t * t);
  const V k = reciprocal(fma(t, spread(0.3f), spread(1.f)));
  V y = fma(k, spread(-0.1295213062846006f), spread(0.4855554685783776f));
  y = fma(y, k, spread(-0.5122619982050267f));
  y = fma(y, k, spread(0.5477012968520255f));
  y = fma(y, k, spread(-0.09463737826862718f));
  y = fma(y, k, spread(0.21492010361350314f));
  y = fma(y, k, spread(0.1483407924236457f));
  y = fma(y, k, spread(0.17071498064460017f));
  y = fma(y, k, spread(0.1691880211475461f));
  const V tail = y * k * (gauss * spread(0.5f));
  return x * negative_chooses(x, tail, spread(1.f) - tail);
}
