//! The standard gRPC health service: it says what `/readyz` says.

use std::time::Duration;

use futures::{StreamExt as _, stream, stream::BoxStream};
use proto::v1::orchestrator_server::SERVICE_NAME;
use runtime::{admin::Readiness, tasks::Stop};
use tokio::time::sleep;
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{self, HealthServer},
};

/// How often a watched status is looked at.
const EVERY: Duration = Duration::from_secs(1);

pub(super) struct Health {
    readiness: Readiness,
    stop: Stop,
}

impl Health {
    pub(super) fn service(readiness: Readiness, stop: Stop) -> HealthServer<Self> {
        HealthServer::new(Self { readiness, stop })
    }
}

fn serving(readiness: &Readiness, stop: &Stop) -> ServingStatus {
    if readiness.report().ready && !stop.is_cancelled() {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

/// The empty name stands for the whole process.
fn is_known(service: &str) -> bool {
    service.is_empty() || service == SERVICE_NAME
}

#[tonic::async_trait]
impl health_server::Health for Health {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if is_known(&request.get_ref().service) {
            Ok(Response::new(response(serving(&self.readiness, &self.stop))))
        } else {
            Err(Status::not_found("there is no such service"))
        }
    }

    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let known = is_known(&request.get_ref().service);
        let (readiness, stop) = (self.readiness.clone(), self.stop.clone());
        let ended = stop.clone();
        let statuses = stream::unfold(None, move |told| {
            let (readiness, stop) = (readiness.clone(), stop.clone());
            async move {
                loop {
                    let status = if known {
                        serving(&readiness, &stop)
                    } else {
                        ServingStatus::ServiceUnknown
                    };
                    if told != Some(status) {
                        return Some((Ok(response(status)), Some(status)));
                    }
                    sleep(EVERY).await;
                }
            }
        });
        Ok(Response::new(
            statuses.take_until(ended.cancelled_owned()).boxed(),
        ))
    }
}
