//! AdamW with gradient clipping by global norm, and the exponential moving average of the weights.
//!
//! burn has an AdamW; this one differs where resuming and clipping need it: moments are named by parameter path
//! and restored on the device of the parameters (burn restores them on its default device, a GPU that need not
//! exist), clipping sees the norm of all gradients together as `torch.nn.utils.clip_grad_norm_` does, and
//! nothing is read back from the device.

use atelier_kernels::{AdamWState, AdamWStep, adamw, moving_average};
use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Tensors by parameter path, flattened to one dimension.
pub type NamedTensors = BTreeMap<String, Tensor<1>>;

/// Options of [`AdamW`] (Loshchilov and Hutter, arXiv 1711.05101), with the defaults of diffusers' scripts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AdamWOptions {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Gradients are scaled down to this global norm.
    pub max_grad_norm: f64,
}

impl Default for AdamWOptions {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 1e-2, max_grad_norm: 1.0 }
    }
}

/// AdamW and its moments.
#[derive(Debug, Clone)]
pub struct AdamW {
    options: AdamWOptions,
    steps: i32,
    first: NamedTensors,
    second: NamedTensors,
}

impl AdamW {
    /// An optimiser without history.
    pub fn new(options: AdamWOptions) -> Self {
        Self { options, steps: 0, first: NamedTensors::new(), second: NamedTensors::new() }
    }

    /// Continues after `steps` steps with the moments that [`Self::moments`] gave.
    pub fn restore(options: AdamWOptions, steps: u64, first: NamedTensors, second: NamedTensors) -> Self {
        Self { options, steps: i32::try_from(steps).unwrap_or(i32::MAX), first, second }
    }

    /// First and second moments by parameter path.
    pub fn moments(&self) -> (&NamedTensors, &NamedTensors) {
        (&self.first, &self.second)
    }

    /// One update of `model`; gives the updated model and the norm of all gradients before clipping, `[1]`.
    pub fn step<M: Module>(&mut self, model: M, mut gradients: GradientsParams, rate: f64) -> (M, Tensor<1>) {
        let norm = global_norm(&model, &gradients);
        let factor = norm.clone().max_pair(norm.full_like(self.options.max_grad_norm)).recip();
        let factor = factor.mul_scalar(self.options.max_grad_norm);
        self.steps = self.steps.saturating_add(1);
        let mut update = Update {
            optimizer: self,
            gradients: &mut gradients,
            factor,
            rate,
            path: ParameterPath::default(),
        };
        (model.map(&mut update), norm)
    }
}

/// The Euclidean norm of all gradients together, `[1]`.
fn global_norm<M: Module>(model: &M, gradients: &GradientsParams) -> Tensor<1> {
    struct Squares<'a> {
        gradients: &'a GradientsParams,
        sum: Option<Tensor<1>>,
    }
    impl ModuleVisitor for Squares<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.gradients.get::<D>(param.id) {
                let square = gradient.square().sum();
                self.sum = Some(match self.sum.take() {
                    Some(sum) => sum + square,
                    None => square,
                });
            }
        }
    }
    let mut squares = Squares { gradients, sum: None };
    model.visit(&mut squares);
    let device = || model.devices().first().cloned().unwrap_or_default().without_autodiff();
    squares.sum.unwrap_or_else(|| Tensor::zeros([1], &device())).sqrt()
}

struct Update<'a> {
    optimizer: &'a mut AdamW,
    gradients: &'a mut GradientsParams,
    factor: Tensor<1>,
    rate: f64,
    path: ParameterPath,
}

impl ModuleMapper for Update<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let Some(gradient) = self.gradients.remove::<D>(id) else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        let AdamWOptions { beta1, beta2, epsilon, weight_decay, .. } = self.optimizer.options;
        let (rate, step) = (self.rate, self.optimizer.steps);
        let shape = tensor.shape();
        let name = self.path.name();
        let gradient = flat(gradient);
        let moment =
            |moments: &mut NamedTensors| moments.remove(&name).unwrap_or_else(|| gradient.zeros_like());
        let first = moment(&mut self.optimizer.first);
        let second = moment(&mut self.optimizer.second);
        let state = AdamWState { parameter: flat(tensor.inner()), first, second };
        let step = AdamWStep { beta1, beta2, epsilon, weight_decay, rate, step };
        let AdamWState { parameter, first, second } = adamw(state, gradient, self.factor.clone(), step);
        let updated = parameter.reshape(shape);
        self.optimizer.first.insert(name.clone(), first);
        self.optimizer.second.insert(name, second);
        Param::from_mapped_value(id, Tensor::from_inner(updated).require_grad(), mapper)
    }
}

/// An exponential moving average of the weights (as diffusers' `EMAModel`, with its warm-up
/// `min(decay, (1 + step) / (10 + step))`).
#[derive(Debug, Clone)]
pub struct Ema {
    decay: f64,
    shadow: NamedTensors,
}

impl Ema {
    /// Starts at the weights of `model`.
    pub fn new<M: Module>(model: &M, decay: f64) -> Self {
        Self { decay, shadow: named_parameters(model) }
    }

    /// Continues from stored averages.
    pub fn restore(decay: f64, shadow: NamedTensors) -> Self {
        Self { decay, shadow }
    }

    /// The averages by parameter path.
    pub fn shadow(&self) -> &NamedTensors {
        &self.shadow
    }

    /// Takes in the weights after optimiser step `step`, counted from 1.
    pub fn update<M: Module>(&mut self, model: &M, step: u64) {
        let decay = self.decay.min((1.0 + step as f64) / (10.0 + step as f64));
        for (name, value) in named_parameters(model) {
            if let Some(average) = self.shadow.remove(&name) {
                self.shadow.insert(name, moving_average(average, value, 1.0 - decay));
            }
        }
    }

    /// `model` with the averages as its weights.
    pub fn apply<M: Module>(&self, model: M) -> M {
        with_parameters(model, &self.shadow)
    }
}

/// All parameters of `model` without gradients, by path.
pub fn named_parameters<M: Module>(model: &M) -> NamedTensors {
    #[derive(Default)]
    struct Collect {
        path: ParameterPath,
        values: NamedTensors,
    }
    impl ModuleVisitor for Collect {
        fn enter_module(&mut self, name: &str, container_type: &str) {
            self.path.enter(name, container_type);
        }
        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.values.insert(self.path.name(), flat(param.val().inner()));
        }
    }
    let mut collect = Collect::default();
    model.visit(&mut collect);
    collect.values
}

/// How many elements each parameter of `model` has, by path; values that nobody has looked at are not computed.
pub fn parameter_sizes<M: Module>(model: &M) -> BTreeMap<String, usize> {
    #[derive(Default)]
    struct Collect {
        path: ParameterPath,
        sizes: BTreeMap<String, usize>,
    }
    impl ModuleVisitor for Collect {
        fn enter_module(&mut self, name: &str, container_type: &str) {
            self.path.enter(name, container_type);
        }
        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.sizes.insert(self.path.name(), param.lazy_shape().num_elements());
        }
    }
    let mut collect = Collect::default();
    model.visit(&mut collect);
    collect.sizes
}

/// `model` with the parameters that `values` names replaced, everything else about them kept.
pub fn with_parameters<M: Module>(model: M, values: &NamedTensors) -> M {
    struct Replace<'a> {
        path: ParameterPath,
        values: &'a NamedTensors,
    }
    impl ModuleMapper for Replace<'_> {
        fn enter_module(&mut self, name: &str, container_type: &str) {
            self.path.enter(name, container_type);
        }
        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.exit();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (id, tensor, mapper) = param.consume();
            let Some(value) = self.values.get(&self.path.name()) else {
                return Param::from_mapped_value(id, tensor, mapper);
            };
            let value = value.clone().reshape(tensor.shape());
            let replaced = if tensor.is_autodiff() {
                Tensor::from_inner(value).set_require_grad(tensor.is_require_grad())
            } else {
                value
            };
            Param::from_mapped_value(id, replaced, mapper)
        }
    }
    model.map(&mut Replace { path: ParameterPath::default(), values })
}

fn flat<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let count = tensor.shape().num_elements();
    tensor.reshape([count])
}

/// The dotted path of the parameter that is being visited.
#[derive(Debug, Default)]
struct ParameterPath(Vec<Option<String>>);

impl ParameterPath {
    /// The variant of an enum is no part of the name.
    fn enter(&mut self, name: &str, container: &str) {
        self.0.push((!container.starts_with("Enum:")).then(|| name.to_owned()));
    }

    fn exit(&mut self) {
        self.0.pop();
    }

    fn name(&self) -> String {
        self.0.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(".")
    }
}

/// Reads named tensors back; one transfer each.
pub fn to_host(values: &NamedTensors) -> BTreeMap<String, Vec<f32>> {
    values.iter().map(|(name, value)| (name.clone(), value.to_data().iter::<f32>().collect())).collect()
}

/// Puts named values on `device`.
pub fn to_device(values: &BTreeMap<String, Vec<f32>>, device: &Device) -> NamedTensors {
    values.iter().map(|(name, value)| (name.clone(), Tensor::from_floats(value.as_slice(), device))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::{nn::LinearConfig, optim::AdamWConfig};

    #[test]
    fn steps_agree_with_burns_optimizer() {
        let device = Device::flex().autodiff();
        let mut ours = LinearConfig::new(3, 2).init(&device);
        let mut theirs = ours.clone();
        let options = AdamWOptions { max_grad_norm: 1e9, ..AdamWOptions::default() };
        let mut optimizer = AdamW::new(options);
        let mut reference = AdamWConfig::new().with_weight_decay(1e-2).with_epsilon(1e-8).init();
        let input = Tensor::<2>::from_floats([[0.3, -1.0, 0.7], [1.2, 0.1, -0.4]], &device);
        for _ in 0..5 {
            let gradients = |model: &burn::nn::Linear| {
                let loss = model.forward(input.clone()).square().mean();
                GradientsParams::from_grads(loss.backward(), model)
            };
            let ours_gradients = gradients(&ours);
            ours = optimizer.step(ours, ours_gradients, 0.01).0;
            let their_gradients = gradients(&theirs);
            theirs = reference.step(0.01, theirs, their_gradients);
        }
        // The same arithmetic in another order: a few units in the last place of values of order one.
        let difference = (ours.weight.val() - theirs.weight.val()).abs().max().into_scalar::<f32>();
        assert!(difference < 1e-6, "{difference}");
    }

    #[test]
    fn clipping_bounds_the_norm_of_all_gradients_together() {
        let device = Device::flex().autodiff();
        let model = LinearConfig::new(4, 4).init(&device);
        let input = Tensor::<2>::ones([1, 4], &device).mul_scalar(100.0);
        let loss = model.forward(input).square().sum();
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        let mut optimizer = AdamW::new(AdamWOptions { max_grad_norm: 0.5, ..AdamWOptions::default() });
        let (_, norm) = optimizer.step(model, gradients, 0.0);
        assert!(norm.into_scalar::<f32>() > 1.0);
        let first = optimizer.moments().0.values().map(|m| m.clone().square().sum().into_scalar::<f32>());
        // After one step the first moment is 0.1 of the clipped gradient.
        let clipped = first.sum::<f32>().sqrt() / 0.1;
        assert!((clipped - 0.5).abs() < 1e-4, "{clipped}");
    }

    #[test]
    fn the_average_follows_the_weights() {
        let device = Device::flex();
        let model = LinearConfig::new(2, 2).init(&device);
        let mut ema = Ema::new(&model, 0.5);
        let moved = with_parameters(
            model.clone(),
            &named_parameters(&model).into_iter().map(|(k, v)| (k, v.add_scalar(1.0))).collect(),
        );
        // The warm-up at step 1 gives a decay of 2/11.
        ema.update(&moved, 1);
        let step = (ema.apply(model.clone()).weight.val() - model.weight.val()).mean().into_scalar::<f32>();
        assert!((step - 9.0 / 11.0).abs() < 1e-5, "{step}");
    }
}
