/**
 * Letters and digits that are not mistaken for one another, drawn as strokes on a grid of 10 by 14. The strokes are SVG path
 * data with the commands M, L and Q.
 */
export const glyphs: Readonly<Record<string, string>> = {
  A: 'M0 14 L5 0 L10 14 M2 9 L8 9',
  B: 'M1 0 L1 14 M1 0 L5 0 Q9 0 9 3.5 Q9 7 5 7 L1 7 M5 7 Q10 7 10 10.5 Q10 14 5 14 L1 14',
  C: 'M10 3 Q8 0 5 0 Q0 0 0 7 Q0 14 5 14 Q8 14 10 11',
  D: 'M1 0 L1 14 M1 0 L4 0 Q10 0 10 7 Q10 14 4 14 L1 14',
  E: 'M9 0 L1 0 L1 14 L9 14 M1 7 L7 7',
  F: 'M9 0 L1 0 L1 14 M1 7 L7 7',
  G: 'M10 3 Q8 0 5 0 Q0 0 0 7 Q0 14 5 14 Q10 14 10 8 L6 8',
  H: 'M1 0 L1 14 M9 0 L9 14 M1 7 L9 7',
  J: 'M3 0 L9 0 M7 0 L7 10 Q7 14 4 14 Q1 14 1 10',
  K: 'M1 0 L1 14 M9 0 L1 8 M4 6 L9 14',
  M: 'M0 14 L1 0 L5 9 L9 0 L10 14',
  N: 'M1 14 L1 0 L9 14 L9 0',
  P: 'M1 14 L1 0 L5 0 Q10 0 10 4 Q10 8 5 8 L1 8',
  Q: 'M5 0 Q0 0 0 7 Q0 14 5 14 Q10 14 10 7 Q10 0 5 0 M6 10 L10 15',
  R: 'M1 14 L1 0 L5 0 Q10 0 10 4 Q10 8 5 8 L1 8 M5 8 L10 14',
  T: 'M0 0 L10 0 M5 0 L5 14',
  U: 'M1 0 L1 9 Q1 14 5 14 Q9 14 9 9 L9 0',
  V: 'M0 0 L5 14 L10 0',
  W: 'M0 0 L2 14 L5 5 L8 14 L10 0',
  X: 'M0 0 L10 14 M10 0 L0 14',
  Y: 'M0 0 L5 7 L10 0 M5 7 L5 14',
  3: 'M1 2 Q3 0 5 0 Q9 0 9 3.5 Q9 7 4 7 Q10 7 10 10.5 Q10 14 5 14 Q2 14 0 12',
  4: 'M8 14 L8 0 L0 10 L10 10',
  6: 'M9 1 Q7 0 5 1 Q0 4 0 9 Q0 14 5 14 Q10 14 10 10 Q10 6 5 6 Q1 6 0 9',
  7: 'M0 0 L10 0 L4 14 M3 7 L9 7',
  8: 'M5 7 Q1 7 1 3.5 Q1 0 5 0 Q9 0 9 3.5 Q9 7 5 7 Q0 7 0 10.5 Q0 14 5 14 Q10 14 10 10.5 Q10 7 5 7',
  9: 'M10 5 Q9 8 5 8 Q0 8 0 4 Q0 0 5 0 Q10 0 10 5 Q10 10 5 13 Q3 14 1 13',
}
