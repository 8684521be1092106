import { refuse } from './refused.ts'

/** The plain digits of a decimal that comes as a number, as JSON may hold it; refuses more than the 15 that a double keeps exactly. */
export const decimalDigits = (value: number): string => {
  const digits = Number.isFinite(value) && Math.abs(value) < 1e15 ? String(value) : ''
  const plain = digits.includes('e') ? value.toFixed(20).replace(/0+$/, '') : digits
  return plain !== '' && plain.replaceAll(/^-?0?\.?0*|\./g, '').length <= 15
    ? plain
    : refuse(`the number ${value} may have lost digits: a decimal is written as a text`)
}
