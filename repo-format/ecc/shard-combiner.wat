;; Linear combinations of shards over GF(2^8): output r = sum over i of factor(r, i) · input i. Compiled by
;; scripts/build-wasm.ts into shard-combiner-wasm.ts.
;;
;; A product with a byte is the sum of the products with its two halves, so two tables of 16 bytes a factor give the products
;; of 16 bytes at once: each half is an index into one vector. Four outputs are computed together, to split each input once.
;;
;; Memory (wasm-combiner.ts writes it and holds the same numbers):
;;       0    8192  for factor f, at 32·f: f·0 … f·15, then f·0, f·16 … f·240
;;    8192   32768  factors: for each group of four outputs, for each input, four bytes
;;   40960  262144  inputs, one after another, each `stride` bytes
;;  303104  131072  outputs, likewise
(module
  (import "windlass" "memory" (memory 7))

  ;; The products of 16 bytes, given as their lower and upper halves, with the factor at address `factor`.
  (func $products (param $factor i32) (param $low v128) (param $high v128) (result v128)
    (local $table i32)
    (local.set $table (i32.shl (i32.load8_u (local.get $factor)) (i32.const 5)))
    (v128.xor
      (i8x16.relaxed_swizzle (v128.load (local.get $table)) (local.get $low))
      (i8x16.relaxed_swizzle (v128.load offset=16 (local.get $table)) (local.get $high))))

  ;; `stride` is a multiple of 16. Nothing is added to what the outputs held before.
  (func (export "combine") (param $stride i32) (param $inputs i32) (param $groups i32)
    (local $factors i32) (local $factor i32) (local $input i32) (local $output i32)
    (local $column i32) (local $left i32) (local $low v128) (local $high v128)
    (local $sum0 v128) (local $sum1 v128) (local $sum2 v128) (local $sum3 v128)
    (local.set $factors (i32.const 8192))
    (local.set $output (i32.const 303104))
    (loop $group
      (local.set $column (i32.const 0))
      (loop $columns
        (local.set $sum0 (v128.const i64x2 0 0))
        (local.set $sum1 (v128.const i64x2 0 0))
        (local.set $sum2 (v128.const i64x2 0 0))
        (local.set $sum3 (v128.const i64x2 0 0))
        (local.set $factor (local.get $factors))
        (local.set $input (i32.add (i32.const 40960) (local.get $column)))
        (local.set $left (local.get $inputs))
        (loop $next
          (local.set $low (v128.load (local.get $input)))
          (local.set $high
            (v128.and (i16x8.shr_u (local.get $low) (i32.const 4)) (v128.const i32x4 0x0f0f0f0f 0x0f0f0f0f 0x0f0f0f0f 0x0f0f0f0f)))
          (local.set $low
            (v128.and (local.get $low) (v128.const i32x4 0x0f0f0f0f 0x0f0f0f0f 0x0f0f0f0f 0x0f0f0f0f)))
          (local.set $sum0
            (v128.xor (local.get $sum0) (call $products (local.get $factor) (local.get $low) (local.get $high))))
          (local.set $sum1
            (v128.xor
              (local.get $sum1)
              (call $products (i32.add (local.get $factor) (i32.const 1)) (local.get $low) (local.get $high))))
          (local.set $sum2
            (v128.xor
              (local.get $sum2)
              (call $products (i32.add (local.get $factor) (i32.const 2)) (local.get $low) (local.get $high))))
          (local.set $sum3
            (v128.xor
              (local.get $sum3)
              (call $products (i32.add (local.get $factor) (i32.const 3)) (local.get $low) (local.get $high))))
          (local.set $input (i32.add (local.get $input) (local.get $stride)))
          (local.set $factor (i32.add (local.get $factor) (i32.const 4)))
          (local.set $left (i32.sub (local.get $left) (i32.const 1)))
          (br_if $next (local.get $left)))
        (local.set $input (i32.add (local.get $output) (local.get $column)))
        (v128.store (local.get $input) (local.get $sum0))
        (local.set $input (i32.add (local.get $input) (local.get $stride)))
        (v128.store (local.get $input) (local.get $sum1))
        (local.set $input (i32.add (local.get $input) (local.get $stride)))
        (v128.store (local.get $input) (local.get $sum2))
        (local.set $input (i32.add (local.get $input) (local.get $stride)))
        (v128.store (local.get $input) (local.get $sum3))
        (local.set $column (i32.add (local.get $column) (i32.const 16)))
        (br_if $columns (i32.lt_u (local.get $column) (local.get $stride))))
      (local.set $output (i32.add (local.get $output) (i32.shl (local.get $stride) (i32.const 2))))
      (local.set $factors (i32.add (local.get $factors) (i32.shl (local.get $inputs) (i32.const 2))))
      (local.set $groups (i32.sub (local.get $groups) (i32.const 1)))
      (br_if $group (local.get $groups)))))
