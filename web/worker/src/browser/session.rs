//! What the worker keeps between requests, and how it answers them.

use super::{
    benchmark,
    device::{Devices, OpenDevice},
    explain::explain,
    failure::Failure,
    job::Job,
    link::reply,
    models::Models,
    paint::paint,
    pictures, storage,
};
use atelier_web_messages::{DeviceChoice, DeviceKind, Reply, Request};

/// The devices, and the models on the one that computes.
#[derive(Debug, Default)]
pub struct Session {
    devices: Devices,
    device: Option<OpenDevice>,
    models: Models,
}

impl Session {
    /// Answers one request.
    pub async fn answer(&mut self, request: Request) {
        let Some(id) = Job::of(&request) else {
            match request {
                Request::Open { device } => {
                    let _ = self.open(device).await;
                }
                Request::ClearModels => {
                    storage::clear().await;
                    self.models = Models::default();
                    reply(&Reply::ModelsCleared);
                }
                // The others are jobs, or are answered before they get here.
                _ => {}
            }
            return;
        };
        let job = Job::start(id);
        let mut result = self.work(&request, job).await;
        if let Err(Failure::Device(reason)) = &result
            && self.device.as_ref().is_some_and(|device| device.report.kind == DeviceKind::WebGpu)
        {
            let processor = self.devices.lose_web_gpu(reason);
            self.take(processor);
            result = self.work(&request, job).await;
        }
        reply(&match result {
            Ok(()) => Reply::Finished { job: id, milliseconds: job.milliseconds() },
            Err(Failure::Cancelled) => Reply::Cancelled { job: id },
            Err(failure) => Reply::Failed { job: id, message: sentence(&failure) },
        });
    }

    async fn work(&mut self, request: &Request, job: Job) -> Result<(), Failure> {
        job.pause().await?;
        match request {
            Request::Paint { recipe, choice, .. } => {
                let device = self.device().await;
                let painters = self.models.painters(choice.models(), &device, job).await?;
                paint(&painters, recipe, &device, job).await
            }
            Request::Explain { picture, leaves, only_taught, .. } => {
                let device = self.device().await;
                let auxiliary = self.models.auxiliary(&device, job).await?;
                explain(&auxiliary.0, &auxiliary.1, picture, leaves, *only_taught, &device, job).await
            }
            Request::OpenPicture { bytes, .. } => pictures::open(bytes.clone(), job),
            Request::StudioExample { leaf, genres, .. } => pictures::studio_example(leaf, genres, job),
            Request::Benchmark { .. } => {
                let report = benchmark::run(&mut self.devices, job).await?;
                reply(&Reply::Benchmark { job: job.id, report });
                Ok(())
            }
            Request::Open { .. } | Request::Cancel { .. } | Request::ClearModels => Ok(()),
        }
    }

    /// The device that computes; the best one if the page has not chosen.
    async fn device(&mut self) -> OpenDevice {
        match &self.device {
            Some(device) => device.clone(),
            None => self.open(DeviceChoice::Auto).await,
        }
    }

    async fn open(&mut self, choice: DeviceChoice) -> OpenDevice {
        let device = self.devices.open(choice).await;
        self.take(device)
    }

    /// Computes on `device` from now on.
    fn take(&mut self, device: OpenDevice) -> OpenDevice {
        if self.device.as_ref().is_none_or(|old| old.device != device.device) {
            self.models.unload();
        }
        reply(&Reply::Device(device.report.clone()));
        self.device = Some(device.clone());
        device
    }
}

/// The error as a sentence that begins with a capital letter.
fn sentence(failure: &Failure) -> String {
    let text = failure.to_string();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
