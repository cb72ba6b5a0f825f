;; Finds splitting positions (snapshots §1.4, §1.5) in data that lies in this module's memory. Compiled by
;; scripts/build-wasm.ts into boundary-scanner-wasm.ts.
;;
;; Memory (the tables are written by wasm-scanner.ts, which holds the same numbers):
;;       0  4096  buzhash tables 0…3: for byte b, T[b] rotated right by 0, 1, 2 and 3 bits
;;    4096  2048  rabin-karp: what a byte that leaves the window contributed
;;    6144  2048  rabin-karp: the reduction of the byte that a shift pushes past the degree
;;    8192  8448  buzhash trail: 64 words of the past, then up to 2048 of the present block
;;   65536        the data
;;
;; Both exported functions return the address of the first byte in [from, to) at which the hash of the 64 bytes that end
;; there has no bit of the mask set, or −1. They read from − 64 … to + 15.
(module
  (import "windlass" "memory" (memory 1))

  ;; Buzhash without rolling. Let A run over the data for ever: A(p) = rotl(A(p − 1), 1) xor T[byte p]. Terms older than the
  ;; window are in A(p) and in A(p − 64) alike, rotated by 64, that is not at all; so the hash of the window is
  ;; h(p) = A(p) xor A(p − 64), at one table look-up a byte.
  ;;
  ;; The rotations are put off as well. With C(p) = rotr(A(p), k), k = p mod 4 (p counted from the start of the scan), three
  ;; steps of four need none: C(p) = C(p − 1) xor table k[byte p], and every fourth rotates by 4. As 64 is a multiple of 4,
  ;; C(p) xor C(p − 64) = rotr(h(p), k), which is held against the mask rotated alike: four positions in one vector.
  ;;
  ;; The words C go to a trail that stays in the first-level cache: one loop writes a block of it, a second one tests it.

  ;; Measured and not taken, against 0.51 ns a byte: joining the look-ups of a group apart, so that groups wait less for each
  ;; other (0.51); loading the four bytes of a group at once (0.57). The number of instructions limits, not their order.

  ;; Appends the words of the bytes [p, end) at `trail`; `c` is the last word before them. Whole groups of four.
  (func $extend (param $p i32) (param $end i32) (param $trail i32) (param $c i32) (result i32)
    (loop $group
      (local.set $c
        (i32.xor
          (i32.rotl (local.get $c) (i32.const 4))
          (i32.load offset=0 (i32.shl (i32.load8_u offset=0 (local.get $p)) (i32.const 2)))))
      (i32.store offset=0 (local.get $trail) (local.get $c))
      (local.set $c
        (i32.xor
          (local.get $c)
          (i32.load offset=1024 (i32.shl (i32.load8_u offset=1 (local.get $p)) (i32.const 2)))))
      (i32.store offset=4 (local.get $trail) (local.get $c))
      (local.set $c
        (i32.xor
          (local.get $c)
          (i32.load offset=2048 (i32.shl (i32.load8_u offset=2 (local.get $p)) (i32.const 2)))))
      (i32.store offset=8 (local.get $trail) (local.get $c))
      (local.set $c
        (i32.xor
          (local.get $c)
          (i32.load offset=3072 (i32.shl (i32.load8_u offset=3 (local.get $p)) (i32.const 2)))))
      (i32.store offset=12 (local.get $trail) (local.get $c))
      (local.set $trail (i32.add (local.get $trail) (i32.const 16)))
      (local.set $p (i32.add (local.get $p) (i32.const 4)))
      (br_if $group (i32.lt_u (local.get $p) (local.get $end))))
    (local.get $c))

  ;; The smallest of the masked hashes of a block of `count` positions, lane by lane: a lane is 0 when any of them was.
  (func $smallest (param $count i32) (param $masks v128) (result v128)
    (local $i i32) (local $end i32) (local $least v128)
    (local.set $least (v128.const i32x4 -1 -1 -1 -1))
    (local.set $end (i32.shl (local.get $count) (i32.const 2)))
    (loop $next
      (local.set $least
        (i32x4.min_u
          (local.get $least)
          (v128.and
            (local.get $masks)
            (v128.xor (v128.load offset=8192 (local.get $i)) (v128.load offset=8448 (local.get $i))))))
      (local.set $least
        (i32x4.min_u
          (local.get $least)
          (v128.and
            (local.get $masks)
            (v128.xor (v128.load offset=8208 (local.get $i)) (v128.load offset=8464 (local.get $i))))))
      (local.set $i (i32.add (local.get $i) (i32.const 32)))
      (br_if $next (i32.lt_u (local.get $i) (local.get $end))))
    (local.get $least))

  ;; Where in the block the first masked hash of 0 is. There is one.
  (func $firstMatch (param $mask i32) (result i32)
    (local $i i32)
    (loop $next
      (if
        (i32.and
          (i32.rotr (local.get $mask) (i32.and (local.get $i) (i32.const 3)))
          (i32.xor
            (i32.load offset=8192 (i32.shl (local.get $i) (i32.const 2)))
            (i32.load offset=8448 (i32.shl (local.get $i) (i32.const 2)))))
        (then
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br $next))))
    (local.get $i))

  (func (export "findBuzhashBoundary") (param $from i32) (param $to i32) (param $mask i32) (result i32)
    (local $c i32) (local $count i32) (local $masks v128) (local $match i32)
    (local.set $masks (i32x4.splat (local.get $mask)))
    (local.set $masks (i32x4.replace_lane 1 (local.get $masks) (i32.rotr (local.get $mask) (i32.const 1))))
    (local.set $masks (i32x4.replace_lane 2 (local.get $masks) (i32.rotr (local.get $mask) (i32.const 2))))
    (local.set $masks (i32x4.replace_lane 3 (local.get $masks) (i32.rotr (local.get $mask) (i32.const 3))))
    ;; The past: A may start anywhere with anything.
    (local.set $c
      (call $extend
        (i32.sub (local.get $from) (i32.const 64)) (local.get $from) (i32.const 8192) (i32.const 0)))
    (loop $block
      (if (i32.ge_u (local.get $from) (local.get $to)) (then (return (i32.const -1))))
      ;; Up to 2048 positions, rounded up to 16: what lies past the end is computed, and ignored.
      (local.set $count
        (i32.and
          (i32.add (i32.sub (local.get $to) (local.get $from)) (i32.const 15))
          (i32.const -16)))
      (if (i32.gt_u (local.get $count) (i32.const 2048)) (then (local.set $count (i32.const 2048))))
      (local.set $c
        (call $extend
          (local.get $from) (i32.add (local.get $from) (local.get $count)) (i32.const 8448) (local.get $c)))
      (if (i32.eqz (i32x4.all_true (call $smallest (local.get $count) (local.get $masks))))
        (then
          (local.set $match (i32.add (local.get $from) (call $firstMatch (local.get $mask))))
          (return (select (local.get $match) (i32.const -1) (i32.lt_u (local.get $match) (local.get $to))))))
      ;; The last 64 words of the block are the past of the next.
      (memory.copy
        (i32.const 8192)
        (i32.add (i32.const 8192) (i32.shl (local.get $count) (i32.const 2)))
        (i32.const 256))
      (local.set $from (i32.add (local.get $from) (local.get $count)))
      (br $block))
    (unreachable))

  ;; Rabin-Karp, rolled: take out what leaves, shift in what enters, reduce what overflows.
  (func $roll (param $hash i64) (param $entering i32) (result i64)
    (i64.xor
      (i64.or (i64.shl (local.get $hash) (i64.const 8)) (i64.extend_i32_u (local.get $entering)))
      (i64.load offset=6144
        (i32.and
          (i32.wrap_i64 (i64.shr_u (local.get $hash) (i64.const 42)))
          (i32.const 0x7f8)))))

  (func (export "findRabinKarpBoundary") (param $from i32) (param $to i32) (param $mask i32) (result i32)
    (local $hash i64) (local $p i32)
    (local.set $p (i32.sub (local.get $from) (i32.const 64)))
    (loop $prime
      (local.set $hash (call $roll (local.get $hash) (i32.load8_u (local.get $p))))
      (local.set $p (i32.add (local.get $p) (i32.const 1)))
      (br_if $prime (i32.lt_u (local.get $p) (local.get $from))))
    (loop $next
      (if (i32.ge_u (local.get $p) (local.get $to)) (then (return (i32.const -1))))
      (local.set $hash
        (call $roll
          (i64.xor
            (local.get $hash)
            (i64.load offset=4096
              (i32.shl (i32.load8_u (i32.sub (local.get $p) (i32.const 64))) (i32.const 3))))
          (i32.load8_u (local.get $p))))
      (if (i32.eqz (i32.and (i32.wrap_i64 (local.get $hash)) (local.get $mask)))
        (then (return (local.get $p))))
      (local.set $p (i32.add (local.get $p) (i32.const 1)))
      (br $next))
    (unreachable)))
