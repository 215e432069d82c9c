//! scratch
use std::path::Path;
#[tokio::main]
async fn main() {
    
    let dir = std::path::PathBuf::from(std::env::args().nth(1).unwrap());
    let mut reader = runtime::settings::Reader::new(
        Path::new(&dir), None,
        [("ORCHESTRATOR_GATEWAY_LISTEN".into(), "127.0.0.1:8099".into()),
         ("NATS_URL".into(), "nats://127.0.0.1:42299".into()),
         ("ORCHESTRATOR_ARTIFACTS_URL".into(), dir.join("artifacts").to_str().unwrap().into()),
         ("ORCHESTRATOR_ARTIFACTS_MAX_SIZE".into(), "3MiB".into())],
    );
    let bus_settings = runtime::bus::BusSettings::read(&mut reader);
    let settings = gateway::Settings::read(&mut reader);
    let bus = runtime::bus::Bus::connect(&bus_settings, "scratch").await.unwrap();
    let stop = runtime::tasks::Stop::new();
    let play_bus = bus.clone();
    let s = stop.clone();
    let running = gateway::start(settings, bus, stop).await.unwrap();
    println!("up");
    tokio::task::spawn(play(dir.clone(), play_bus));
    tokio::select! { r = running.run() => println!("{r:?}"), _ = async { tokio::signal::ctrl_c().await.unwrap(); s.cancel(); std::future::pending::<()>().await } => {} }
}
fn tracing_subscriber_init() {}

async fn play(dir: std::path::PathBuf, bus: runtime::bus::Bus) {
    use proto::{ids::*, lifecycle::*, v1::*};
    let records = runtime::records::Records::new(bus.clone(), std::time::Duration::from_secs(3600));
    let worker: WorkerId = "fake".parse().unwrap();
    let incarnation = Incarnation::generate();
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        let announced = Worker { id: "fake".into(), incarnation: incarnation.to_string(), at: Some(proto::moment::timestamp(runtime::clock::now())),
            backends: vec![BackendOffer { backend: proto::Backend::Sketch.into(), slots: 1, lanes: vec!["_".into()], healthy: true, ..Default::default() },
             BackendOffer { backend: proto::Backend::Comfyui.into(), slots: 1, lanes: vec!["_".into()], healthy: false, problem: "ComfyUI is away".into(), models: vec![Model{kind:"checkpoint".into(),name:"sd15.safetensors".into()}], ..Default::default() }], ..Default::default() };
        runtime::live::announce(&bus, &worker, &announced).await;
        let Ok(text) = std::fs::read_to_string(dir.join("play")) else { continue };
        std::fs::remove_file(dir.join("play")).ok();
        let id: JobId = text.trim().parse().unwrap();
        let claim_id = ClaimId::generate();
        let claim = Claim { claim_id: claim_id.to_string(), worker: "fake".into(), incarnation: incarnation.to_string(), since: Some(proto::moment::timestamp(runtime::clock::now())) };
        let job = records.change(id, None, &Change::Claim(claim)).await.unwrap();
        let png = std::fs::read(dir.join("p.png")).unwrap();
        for n in 1..=20u64 {
            tokio::time::sleep(std::time::Duration::from_millis(150)).await;
            runtime::live::publish_preview(&bus, id, &Preview { job: id.to_string(), attempt: job.attempt, number: n, media_type: "image/png".into(), content: png.clone().into() }).await;
            runtime::live::publish_progress(&bus, id, &Progress { job: id.to_string(), attempt: job.attempt, number: n, phase: "sampling".into(), fraction: n as f64/20.0, step: n as u32, steps: 20, preview: n, eta_seconds: Some((20-n) as f64*0.15), ..Default::default() }).await;
        }
        let grant = runtime::calls::ask_for_upload(&bus, &UploadGrantRequest { job: id.to_string(), claim_id: claim_id.to_string(), attempt: job.attempt, index: 0 }).await.unwrap();
        std::fs::write(dir.join("grant"), format!("{}\n{}\n", grant.url, grant.token)).unwrap();
        while !dir.join("uploaded").exists() { tokio::time::sleep(std::time::Duration::from_millis(100)).await; }
        std::fs::remove_file(dir.join("uploaded")).ok();
        let a = ArtifactId { job: id, attempt: job.attempt, index: 0 };
        use std::fmt::Write as _; let mut sha = String::new(); let h = std::fs::read_to_string(dir.join("sha")).unwrap(); write!(sha, "{}", h.trim()).unwrap();
        let out = Artifact { id: a.to_string(), key: a.key(), filename: "a lake.png".into(), media_type: "image/png".into(), size_bytes: png.len() as u64, sha256: sha, width: 64, height: 64 };
        records.change(id, None, &Change::Succeed { claim: claim_id, outputs: vec![out], phases: vec![] }).await.unwrap();
    }
}
