//! Data parallelism: every device computes the gradients of its part of a step.
//!
//! This is burn's `ExecutionStrategy::MultiDevice` with `MultiDeviceOptim::OptimMainDevice`, made of the same pieces:
//! [`Module::to_device`] sends the weights out, [`GradientsParams::to_device`] brings the gradients back to the main
//! device, where they are accumulated for one step of one optimiser. burn's own driver of them takes data loaders and a
//! `Learner`; ours goes on from any step, on any number of devices.

use crate::{forward_passes::ForwardPasses, trainer::Task};
use atelier_kernels::side_by_side;
use burn::{
    module::{Module, ModuleMapper, Param, ParamId},
    optim::GradientsParams,
    tensor::{Device, Tensor, container::TensorContainer},
};

/// The devices of a run, the main one first, and what is frozen, on each of them.
#[derive(Debug)]
pub(crate) struct Workers<F> {
    workers: Vec<Worker<F>>,
    gradient_checkpointing: bool,
}

#[derive(Debug)]
struct Worker<F> {
    device: Device,
    frozen: F,
}

/// What a part of a step gives, on the main device.
pub(crate) struct PartResult {
    /// Gradients of the part's share of the loss.
    pub gradients: GradientsParams,
    /// Names of the logged quantities.
    pub names: Vec<&'static str>,
    /// Their values, `[names]`.
    pub values: Tensor<1>,
}

impl<F: Module + Sync> Workers<F> {
    /// `frozen`, which is on `main`, goes to all `others`.
    pub fn new(frozen: F, main: Device, others: Vec<Device>, gradient_checkpointing: bool) -> Self {
        let copy = |device: Device| Worker { frozen: shared(frozen.clone().to_device(&device)), device };
        let others: Vec<_> = others.into_iter().map(copy).collect();
        let workers = std::iter::once(Worker { device: main, frozen }).chain(others).collect();
        Self { workers, gradient_checkpointing }
    }

    /// How many devices compute.
    pub fn count(&self) -> usize {
        self.workers.len()
    }

    /// In how many parts every device computes its batch of `batch_size`, where all of them should make `splits`.
    ///
    /// One example must not weigh more than another: a batch that does not fall into parts of one size is one part.
    pub fn parts_of_each(&self, batch_size: usize, splits: usize) -> usize {
        let parts = splits.div_ceil(self.count());
        if batch_size.is_multiple_of(parts) { parts } else { 1 }
    }

    /// The device of the part `index`, where every device has `of_each`.
    pub fn device(&self, index: usize, of_each: usize) -> &Device {
        &self.workers[index / of_each].device
    }

    /// Gradients of the losses of `batches`, `of_each` on every device, each divided by `divisor`; in the order of the batches.
    ///
    /// Every batch has a thread of its own: the CPU backend leaves half of two cores idle on models of this size. Each thread
    /// computes with leaves of its own, for graphs that share a leaf are one graph to burn, behind one lock, and one thread
    /// could register its operations in a graph that the other has just merged away.
    pub fn gradients<T: Task<Frozen = F>>(
        &self,
        task: &T,
        model: &T::Model,
        batches: Vec<T::Batch>,
        of_each: usize,
        divisor: f64,
    ) -> Vec<PartResult> {
        let main = &self.workers[0].device;
        let mut batches = batches.into_iter();
        let work: Vec<(&Worker<F>, Vec<T::Batch>)> =
            self.workers.iter().map(|worker| (worker, batches.by_ref().take(of_each).collect())).collect();
        let results = side_by_side(work, |(worker, batches)| {
            let model = model.valid().to_device(&worker.device);
            side_by_side(batches, |batch| {
                let model = model.clone().train();
                let mut passes = ForwardPasses::new(self.gradient_checkpointing);
                let objective = task.objective(&model, &worker.frozen, batch, &mut passes);
                let gradients = objective.loss.div_scalar(divisor).backward();
                let gradients = passes.gradients(gradients, &model);
                PartResult {
                    gradients: gradients.to_device(main, &model),
                    names: objective.names,
                    values: objective.values.inner().to_device(main),
                }
            })
        });
        results.into_iter().flatten().collect()
    }
}

/// `module` with one tensor for parameters that are copies of each other.
///
/// Models with an adapter share their other weights with the base; on the way to another device each got its own.
fn shared<M: Module>(module: M) -> M {
    struct Share {
        known: TensorContainer<ParamId>,
    }
    impl ModuleMapper for Share {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (id, tensor, mapper) = param.consume();
            let alike = |known: &Tensor<D>| known.dims() == tensor.dims() && known.dtype() == tensor.dtype();
            let known = self.known.get::<Tensor<D>>(&id).filter(alike);
            match known.filter(|known| known.clone().equal(tensor.clone()).all().into_scalar::<bool>()) {
                Some(known) => Param::from_mapped_value(id, known, mapper),
                None => {
                    self.known.register(id, tensor.clone());
                    Param::from_mapped_value(id, tensor, mapper)
                }
            }
        }
    }
    module.map(&mut Share { known: TensorContainer::new() })
}
