use super::*;
use crate::learn::kernels::direct;

fn numbers(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed;
    let mut uniform = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 24)
    };
    // nearly normal, and numbers that single precision holds
    (0..count).map(|_| f64::from(((0..12).map(|_| uniform()).sum::<f64>() - 6.0) as f32)).collect()
}

fn of<R: Real>(numbers: &[f64]) -> Vec<R> {
    numbers.iter().map(|n| R::of(*n)).collect()
}

/// Output, gradient of the weights, gradient of the input.
fn all<R: Real>(winograd: bool, [c, h, w, f, p]: [usize; 5]) -> [Vec<f64>; 3] {
    let outputs = f * (h + 2 * p - 2) * (w + 2 * p - 2);
    // activations are not negative
    let x: Vec<f64> = numbers(1, c * h * w).into_iter().map(|x| x.max(0.0)).collect();
    let (x, weight, dy) = (of::<R>(&x), of::<R>(&numbers(2, f * c * 9)), of::<R>(&numbers(3, outputs)));
    let there = |f: usize, c_: usize, place: usize| weight[(f * c + c_) * 9 + place];
    let back = |c_: usize, f: usize, place: usize| weight[(f * c + c_) * 9 + 8 - place];
    let (mut y, mut dw, mut dx) = (vec![R::ZERO; outputs], vec![R::ZERO; weight.len()], vec![R::ZERO; x.len()]);
    fn put<R: Real>(to: &mut [R]) -> impl FnMut(usize, usize, &[R]) + '_ {
        |_, start, sums| to[start..start + sums.len()].copy_from_slice(sums)
    }
    if winograd {
        let shape = Shape { channels: c, height: h, width: w, filters: f, padding: p };
        // whatever stands in the memory must not matter
        let mut scratch = vec![R::of(f64::NAN); shape.scratch().max(shape.scratch_back())];
        let mut packed = vec![R::of(f64::NAN); shape.packed().max(shape.back().packed())];
        pack(&shape, &mut packed[..shape.packed()], there);
        forward(&shape, &packed[..shape.packed()], &x, &mut scratch[..shape.scratch()], put(&mut y));
        let packed = &mut packed[..shape.back().packed()];
        pack(&shape.back(), packed, back);
        backward(&shape, Some(packed), &mut dw, (&x, &dy), &mut scratch[..shape.scratch_back()], put(&mut dx));
        let mut alone = vec![R::ZERO; weight.len()];
        backward(&shape, None, &mut alone, (&x, &dy), &mut scratch[..shape.scratch_back()], |_, _, _| {});
        assert_eq!(alone, dw);
    } else {
        let shape = direct::Shape::new([c, h, w], f, 3, p);
        let turned = shape.back();
        let mut scratch = vec![R::ZERO; shape.scratch().max(shape.scratch_of_weights()).max(turned.scratch())];
        let mut packed = vec![R::ZERO; shape.packed().max(turned.packed())];
        direct::pack(&shape, &mut packed[..shape.packed()], there);
        direct::forward(&shape, &packed[..shape.packed()], &x, &mut scratch, put(&mut y));
        direct::weights(&shape, &mut dw, &x, &dy, &mut scratch);
        direct::pack(&turned, &mut packed[..turned.packed()], back);
        direct::forward(&turned, &packed[..turned.packed()], &dy, &mut scratch, put(&mut dx));
    }
    [y, dw, dx].map(|numbers| numbers.into_iter().map(R::f64).collect())
}

/// Relative distance in L2.
fn distance(found: &[f64], wanted: &[f64]) -> f64 {
    let square = |numbers: &mut dyn Iterator<Item = f64>| numbers.map(|n| n * n).sum::<f64>();
    (square(&mut found.iter().zip(wanted).map(|(f, w)| f - w)) / square(&mut wanted.iter().copied())).sqrt()
}

/// Channels, height, width, filters, padding: each of the edges odd or even, more and fewer tiles than go together, all
/// remainders of rows and vectors.
const SHAPES: [[usize; 5]; 12] = [
    [8, 5, 5, 8, 1],
    [16, 4, 6, 16, 0],
    [17, 7, 9, 33, 1],
    [32, 3, 3, 9, 0],
    [9, 1, 1, 11, 1],
    [20, 2, 3, 50, 2],
    [33, 30, 13, 10, 2],
    [8, 40, 7, 13, 1],
    [16, 3, 200, 15, 0],
    [70, 12, 20, 6, 1],
    [6, 11, 31, 65, 2],
    [1, 9, 8, 3, 1],
];

#[test]
fn fewer_multiplications_give_the_same_sums() {
    for shape in SHAPES {
        let (found, wanted) = (all::<f64>(true, shape), all::<f64>(false, shape));
        for (n, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
            let apart = distance(found, wanted);
            assert!(apart < 1e-14, "{shape:?}, result {n}: {apart:e}");
        }
    }
}

#[test]
fn rounding_is_hardly_worse_than_that_of_direct_sums() {
    for shape in [[32, 64, 64, 64, 1], [64, 32, 32, 64, 1], [8, 20, 20, 8, 1]] {
        let exact = all::<f64>(false, shape);
        let (few, direct) = (all::<f32>(true, shape), all::<f32>(false, shape));
        for n in 0..3 {
            let (few, direct) = (distance(&few[n], &exact[n]), distance(&direct[n], &exact[n]));
            println!("{shape:?}, result {n}: {few:.2e}, directly {direct:.2e}");
            assert!(few < 3e-7 && few < 4.0 * direct, "{shape:?}, result {n}: {few:e}, directly {direct:e}");
        }
    }
}
