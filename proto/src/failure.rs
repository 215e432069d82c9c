//! Every way in which something can fail: one closed list with a verdict, statuses, a severity and a page each.
//!
//! A code's spelling is the same on the wire, in metrics, in logs, in problem documents and as the name of
//! its page `docs/codes/<code>.md`, and never changes.

use crate::v1;

/// What a failure of an attempt means for the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Another attempt can end differently.
    Retry,
    /// Another attempt would end the same way.
    GiveUp,
    /// No further attempt: a person has to find something out or put something right first.
    AskPerson,
}

/// How much a failure matters to who runs the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The caller can put it right.
    Info,
    /// Worth a look when it becomes frequent.
    Warning,
    /// Something is broken.
    Error,
    /// Nothing works until somebody acts.
    Critical,
}

/// What the code's table says about it.
#[derive(Debug, Clone, Copy)]
struct Facts {
    code: &'static str,
    verdict: Verdict,
    http: u16,
    grpc: tonic::Code,
    severity: Severity,
    title: &'static str,
    remedy: &'static str,
    page: &'static str,
}

macro_rules! failure_codes {
    ($($variant:ident = $code:literal, $verdict:ident, $http:literal, $grpc:ident, $severity:ident,
       $title:literal, $remedy:literal, $page:literal;)*) => {
        /// Why something failed. `docs/codes` has a page for each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum FailureCode {
            $(#[doc = $title] $variant,)*
        }

        impl FailureCode {
            /// All codes, in the order of the list.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            const fn facts(self) -> Facts {
                match self {
                    $(Self::$variant => Facts {
                        code: $code,
                        verdict: Verdict::$verdict,
                        http: $http,
                        grpc: tonic::Code::$grpc,
                        severity: Severity::$severity,
                        title: $title,
                        remedy: $remedy,
                        page: include_str!($page),
                    },)*
                }
            }
        }
    };
}

failure_codes! {
    // What a caller did wrong
    RequestMalformed = "request_malformed", GiveUp, 400, InvalidArgument, Info,
        "the request could not be read",
        "Send a JSON object (or a protobuf message) of the documented form.",
        "../../docs/codes/request_malformed.md";
    RequestInvalid = "request_invalid", GiveUp, 422, InvalidArgument, Info,
        "the request asks for something that cannot be",
        "Correct the named fields and send it again.",
        "../../docs/codes/request_invalid.md";
    RequestTooLarge = "request_too_large", GiveUp, 413, InvalidArgument, Info,
        "the request is too large",
        "Upload large inputs with POST /api/assets and refer to them, or shorten the text.",
        "../../docs/codes/request_too_large.md";
    RequestMediaType = "request_media_type", GiveUp, 415, InvalidArgument, Info,
        "the request's content type is not understood",
        "Send JSON with Content-Type: application/json, files as multipart/form-data.",
        "../../docs/codes/request_media_type.md";
    RequestCrossSite = "request_cross_site", GiveUp, 403, PermissionDenied, Warning,
        "a page of another site tried to use the gateway",
        "Use the gateway's own page, or a program that is no browser.",
        "../../docs/codes/request_cross_site.md";
    RouteUnknown = "route_unknown", GiveUp, 404, Unimplemented, Info,
        "there is nothing at this address",
        "Check the path; the README lists the routes.",
        "../../docs/codes/route_unknown.md";
    RouteMethod = "route_method", GiveUp, 405, Unimplemented, Info,
        "this address does not take this method",
        "Use one of the methods in the Allow header.",
        "../../docs/codes/route_method.md";
    JobUnknown = "job_unknown", GiveUp, 404, NotFound, Info,
        "there is no such job",
        "Check the id; finished jobs are removed after the retention time.",
        "../../docs/codes/job_unknown.md";
    JobFinished = "job_finished", GiveUp, 409, FailedPrecondition, Info,
        "the job is over, and a finished job never changes",
        "Retry it to make a new job of the same request.",
        "../../docs/codes/job_finished.md";
    JobUnfinished = "job_unfinished", GiveUp, 409, FailedPrecondition, Info,
        "the job is not over yet",
        "Wait until it is over, or cancel it first.",
        "../../docs/codes/job_unfinished.md";
    JobNotHeld = "job_not_held", GiveUp, 409, FailedPrecondition, Info,
        "the job is not held",
        "Nothing needs to be done: it was already let go.",
        "../../docs/codes/job_not_held.md";
    JobContended = "job_contended", Retry, 409, Aborted, Warning,
        "the job was changed by too many others at the same time",
        "Ask for the job again and repeat the call.",
        "../../docs/codes/job_contended.md";
    IdempotencyKeyReused = "idempotency_key_reused", GiveUp, 422, AlreadyExists, Info,
        "the idempotency key was used for another request",
        "Use a new key for a new request.",
        "../../docs/codes/idempotency_key_reused.md";
    ArtifactUnknown = "artifact_unknown", GiveUp, 404, NotFound, Info,
        "there is no such artifact",
        "Take the id from the outputs of a succeeded job.",
        "../../docs/codes/artifact_unknown.md";
    AssetUnknown = "asset_unknown", GiveUp, 404, NotFound, Info,
        "there is no such upload",
        "Upload the file with POST /api/assets and use the id that it returns.",
        "../../docs/codes/asset_unknown.md";
    PreviewUnknown = "preview_unknown", GiveUp, 404, NotFound, Info,
        "there is no preview of this job now",
        "Previews exist only while a job runs; look at its outputs.",
        "../../docs/codes/preview_unknown.md";
    RangeUnsatisfiable = "range_unsatisfiable", GiveUp, 416, OutOfRange, Info,
        "the asked range lies outside the content",
        "Ask for a range within the size of the content.",
        "../../docs/codes/range_unsatisfiable.md";
    UploadRefused = "upload_refused", GiveUp, 403, PermissionDenied, Warning,
        "the upload is not permitted",
        "A worker whose claim is over must not upload; nothing needs to be done.",
        "../../docs/codes/upload_refused.md";
    UploadCorrupt = "upload_corrupt", Retry, 422, DataLoss, Warning,
        "what arrived is not what was sent",
        "Send it again; if it goes on, look for a proxy that alters or cuts bodies.",
        "../../docs/codes/upload_corrupt.md";
    WorkflowUnknown = "workflow_unknown", GiveUp, 404, NotFound, Info,
        "there is no such workflow",
        "Take a name that GET /api/workflows lists.",
        "../../docs/codes/workflow_unknown.md";
    WorkflowBuiltIn = "workflow_built_in", GiveUp, 403, PermissionDenied, Info,
        "the workflow comes with the program and cannot be changed",
        "Store the changed workflow under another name.",
        "../../docs/codes/workflow_built_in.md";
    WorkflowChanged = "workflow_changed", GiveUp, 412, Aborted, Info,
        "the workflow is not the one that was to be changed",
        "Read it again, apply the change to what is there now, and send it with its ETag.",
        "../../docs/codes/workflow_changed.md";
    WorkflowLimit = "workflow_limit", GiveUp, 409, ResourceExhausted, Warning,
        "there are too many workflows",
        "Delete workflows that nobody uses.",
        "../../docs/codes/workflow_limit.md";
    AssetUnusable = "asset_unusable", GiveUp, 422, InvalidArgument, Info,
        "the uploaded file cannot be used",
        "Send a whole picture (PNG, JPEG, WebP, GIF), film or sound file.",
        "../../docs/codes/asset_unusable.md";
    // Asking one worker
    WorkerUnknown = "worker_unknown", GiveUp, 404, NotFound, Info,
        "there is no such worker",
        "Take a name that GET /api/workers lists.",
        "../../docs/codes/worker_unknown.md";
    WorkerUnreachable = "worker_unreachable", Retry, 503, Unavailable, Error,
        "the worker does not listen",
        "Start the worker, or wait until it has started.",
        "../../docs/codes/worker_unreachable.md";
    WorkerSilent = "worker_silent", Retry, 504, DeadlineExceeded, Error,
        "the worker went silent while it was asked",
        "Look at the worker's host and log, then ask again.",
        "../../docs/codes/worker_silent.md";
    HostRefused = "host_refused", GiveUp, 409, FailedPrecondition, Warning,
        "the worker does not do what it was asked for",
        "Read the message: it says what the worker needs for it.",
        "../../docs/codes/host_refused.md";
    HostBusy = "host_busy", Retry, 503, ResourceExhausted, Warning,
        "the worker answers too many calls at once",
        "Wait until other calls to this worker are over, then ask again.",
        "../../docs/codes/host_busy.md";
    ComfyuiPathRefused = "comfyui_path_refused", GiveUp, 403, PermissionDenied, Info,
        "this part of ComfyUI is not passed on",
        "Use one of the read-only paths that the README lists, or ComfyUI itself.",
        "../../docs/codes/comfyui_path_refused.md";
    ComfyuiAnswerTooLarge = "comfyui_answer_too_large", GiveUp, 502, ResourceExhausted, Warning,
        "ComfyUI's answer is too large to be passed on",
        "Ask for less, or raise gateway.max_fetch.",
        "../../docs/codes/comfyui_answer_too_large.md";
    // What stands in the way of the whole system
    BrokerUnavailable = "broker_unavailable", Retry, 503, Unavailable, Critical,
        "the broker (NATS JetStream) does not answer",
        "Start nats-server or correct nats.url; then send the request again.",
        "../../docs/codes/broker_unavailable.md";
    StoreUnavailable = "store_unavailable", Retry, 503, Unavailable, Error,
        "the artifact store does not answer",
        "Check artifacts.url, its credentials and the network.",
        "../../docs/codes/store_unavailable.md";
    StoreFull = "store_full", Retry, 507, ResourceExhausted, Critical,
        "the artifact store is full",
        "Free space where artifacts.url points, or shorten the retention; then retry what has failed meanwhile.",
        "../../docs/codes/store_full.md";
    GatewayFault = "gateway_fault", Retry, 500, Internal, Error,
        "the gateway made a mistake",
        "Report it with the log line that carries the same request.",
        "../../docs/codes/gateway_fault.md";
    // How an attempt or a job can end
    DeadlinePassed = "deadline_passed", GiveUp, 504, DeadlineExceeded, Warning,
        "the job was not started by its deadline",
        "Give it more time, or add workers that can serve it.",
        "../../docs/codes/deadline_passed.md";
    WorkerLost = "worker_lost", Retry, 502, Unavailable, Error,
        "the worker went silent while it worked on the job",
        "Look at the worker's host: was it killed, did it lose power or network?",
        "../../docs/codes/worker_lost.md";
    WorkerPanicked = "worker_panicked", Retry, 500, Internal, Error,
        "the attempt crashed inside the worker",
        "Report it with the worker's log; the worker itself went on.",
        "../../docs/codes/worker_panicked.md";
    WorkerRefused = "worker_refused", Retry, 502, FailedPrecondition, Warning,
        "the worker cannot serve this request",
        "Look at what the message names; another worker may be able to.",
        "../../docs/codes/worker_refused.md";
    AttemptTimedOut = "attempt_timed_out", Retry, 504, DeadlineExceeded, Error,
        "the attempt took too long",
        "Raise the setting if such jobs really take so long.",
        "../../docs/codes/attempt_timed_out.md";
    BackendStalled = "backend_stalled", Retry, 504, DeadlineExceeded, Error,
        "the backend made no progress for too long",
        "Look at the backend's log; restart it if it hangs. worker.stall_timeout sets the patience.",
        "../../docs/codes/backend_stalled.md";
    InputMissing = "input_missing", GiveUp, 422, FailedPrecondition, Warning,
        "an input of the job is gone or unusable",
        "Upload the file again and submit a new job.",
        "../../docs/codes/input_missing.md";
    ArtifactTooLarge = "artifact_too_large", GiveUp, 413, ResourceExhausted, Warning,
        "a result is too large",
        "Raise the setting on gateway and worker, or ask for a smaller result.",
        "../../docs/codes/artifact_too_large.md";
    SketchRehearsedFailure = "sketch_rehearsed_failure", Retry, 500, Internal, Warning,
        "the sketch backend failed because the request asked for it",
        "Nothing: this is a rehearsal.",
        "../../docs/codes/sketch_rehearsed_failure.md";
    SketchRehearsalRefused = "sketch_rehearsal_refused", GiveUp, 403, FailedPrecondition, Info,
        "the worker does not take rehearsals",
        "Set sketch.rehearsals = true on the worker, on test systems only.",
        "../../docs/codes/sketch_rehearsal_refused.md";
    SketchImpossible = "sketch_impossible", GiveUp, 422, InvalidArgument, Warning,
        "the sketch cannot be drawn",
        "Correct what the message names.",
        "../../docs/codes/sketch_impossible.md";
    // ComfyUI
    ComfyuiUnreachable = "comfyui_unreachable", Retry, 502, Unavailable, Error,
        "ComfyUI does not answer",
        "Start ComfyUI on the worker's host, or correct comfyui.url.",
        "../../docs/codes/comfyui_unreachable.md";
    ComfyuiRejected = "comfyui_rejected", GiveUp, 422, InvalidArgument, Warning,
        "ComfyUI does not accept the graph",
        "Correct the node and input that the message names.",
        "../../docs/codes/comfyui_rejected.md";
    ComfyuiNodeUnknown = "comfyui_node_unknown", GiveUp, 422, InvalidArgument, Warning,
        "the graph uses a node that this ComfyUI does not have",
        "Install the custom node on the worker's ComfyUI, or use another node.",
        "../../docs/codes/comfyui_node_unknown.md";
    ComfyuiModelUnknown = "comfyui_model_unknown", GiveUp, 422, NotFound, Warning,
        "a model file that the graph names is not there",
        "Use a name that GET /api/models lists, or put the file into ComfyUI's models directory.",
        "../../docs/codes/comfyui_model_unknown.md";
    ComfyuiModelCorrupt = "comfyui_model_corrupt", Retry, 502, DataLoss, Error,
        "a model file is damaged",
        "Download the file again; compare its size and checksum with the source.",
        "../../docs/codes/comfyui_model_corrupt.md";
    ComfyuiOutOfMemory = "comfyui_out_of_memory", Retry, 507, ResourceExhausted, Error,
        "the GPU has not enough memory",
        "Use a smaller size or batch, or free the GPU from other programs.",
        "../../docs/codes/comfyui_out_of_memory.md";
    ComfyuiFailed = "comfyui_failed", Retry, 502, Internal, Error,
        "a node of the graph failed",
        "Read the node's message; check its inputs.",
        "../../docs/codes/comfyui_failed.md";
    ComfyuiInterrupted = "comfyui_interrupted", Retry, 502, Aborted, Warning,
        "somebody interrupted the run in ComfyUI itself",
        "Nothing, if it was meant; the job is tried again.",
        "../../docs/codes/comfyui_interrupted.md";
    ComfyuiLost = "comfyui_lost", Retry, 502, Unavailable, Error,
        "ComfyUI forgot the run, most likely because it restarted",
        "Look at ComfyUI's log for why it stopped; the job is tried again.",
        "../../docs/codes/comfyui_lost.md";
    ComfyuiHung = "comfyui_hung", Retry, 502, Unavailable, Error,
        "ComfyUI answers but does not work any more",
        "Restart ComfyUI: orchestrator comfyui restart. With comfyui.command the worker does so by itself.",
        "../../docs/codes/comfyui_hung.md";
    ComfyuiNoOutput = "comfyui_no_output", GiveUp, 422, FailedPrecondition, Warning,
        "the graph ran but saved nothing",
        "Add a SaveImage (or another saving) node to the graph.",
        "../../docs/codes/comfyui_no_output.md";
    ComfyuiProtocol = "comfyui_protocol", Retry, 502, Internal, Error,
        "ComfyUI answered in a way that is not understood",
        "Check that comfyui.url points at ComfyUI itself and not at a proxy's page.",
        "../../docs/codes/comfyui_protocol.md";
    // Money, and services that cost money
    GenerationDisabled = "generation_disabled", AskPerson, 403, PermissionDenied, Info,
        "generation that costs money is switched off",
        "Set ALLOW_GENERATION=true (paid.allow) for the gateway and the worker, and restart them.",
        "../../docs/codes/generation_disabled.md";
    BudgetExceeded = "budget_exceeded", AskPerson, 402, ResourceExhausted, Warning,
        "the budget does not allow it",
        "Wait for the next day, raise paid.budget_day, paid.budget_total or paid.budget_key, or ask for something cheaper.",
        "../../docs/codes/budget_exceeded.md";
    SpendUnpriced = "spend_unpriced", GiveUp, 422, FailedPrecondition, Info,
        "the price table has no price for it",
        "Set paid.unpriced to the amount that may be set aside for such a job, or choose another model.",
        "../../docs/codes/spend_unpriced.md";
    SpendUnreserved = "spend_unreserved", GiveUp, 409, FailedPrecondition, Error,
        "nothing is set aside for a job that costs money",
        "Submit it again; orchestrator spend shows what became of the reservation.",
        "../../docs/codes/spend_unreserved.md";
    SpendUnknown = "spend_unknown", GiveUp, 404, NotFound, Info,
        "the ledger has nothing about this job",
        "Check the id; only jobs that cost money are in the ledger.",
        "../../docs/codes/spend_unknown.md";
    SpendResolved = "spend_resolved", GiveUp, 409, FailedPrecondition, Info,
        "there is nothing to resolve",
        "Nothing needs to be done: it is known what became of the call.",
        "../../docs/codes/spend_resolved.md";
    OutcomeUnknown = "outcome_unknown", AskPerson, 409, FailedPrecondition, Error,
        "it is not known whether a paid call went through",
        "Look at the vendor's account, then say what became of it: orchestrator spend resolve <job>.",
        "../../docs/codes/outcome_unknown.md";
    FluxUnreachable = "flux_unreachable", Retry, 502, Unavailable, Warning,
        "the FLUX service could not be reached",
        "Check the network and flux.url; it is tried again by itself.",
        "../../docs/codes/flux_unreachable.md";
    FluxUnavailable = "flux_unavailable", Retry, 502, Unavailable, Warning,
        "the FLUX service has trouble",
        "Wait; it is tried again by itself. See the vendor's status page if it lasts.",
        "../../docs/codes/flux_unavailable.md";
    FluxBusy = "flux_busy", Retry, 429, ResourceExhausted, Info,
        "the FLUX account has as many tasks as it may",
        "Wait; it is tried again when a task has ended. flux.max_tasks should not be above the account's limit.",
        "../../docs/codes/flux_busy.md";
    FluxKeyRefused = "flux_key_refused", AskPerson, 403, PermissionDenied, Error,
        "the FLUX service does not accept the key",
        "Check BFL_API_KEY of the worker, restart it, and submit again.",
        "../../docs/codes/flux_key_refused.md";
    FluxCreditsExhausted = "flux_credits_exhausted", AskPerson, 402, ResourceExhausted, Error,
        "the FLUX account has no credits",
        "Add credits at the vendor, then retry the job.",
        "../../docs/codes/flux_credits_exhausted.md";
    FluxRequestRefused = "flux_request_refused", GiveUp, 422, InvalidArgument, Warning,
        "the FLUX service does not accept the request",
        "Correct what the message names and submit again.",
        "../../docs/codes/flux_request_refused.md";
    FluxModelUnknown = "flux_model_unknown", GiveUp, 404, NotFound, Warning,
        "the FLUX service does not know the model",
        "Choose another model; this one may have been withdrawn.",
        "../../docs/codes/flux_model_unknown.md";
    FluxRequestModerated = "flux_request_moderated", GiveUp, 422, InvalidArgument, Info,
        "the FLUX service refused the prompt or an input picture",
        "Change the prompt or the picture; nothing was charged.",
        "../../docs/codes/flux_request_moderated.md";
    FluxContentModerated = "flux_content_moderated", GiveUp, 422, InvalidArgument, Info,
        "the FLUX service withheld the result",
        "Try another seed or prompt; nothing was charged.",
        "../../docs/codes/flux_content_moderated.md";
    FluxTaskFailed = "flux_task_failed", Retry, 502, Internal, Warning,
        "the FLUX service failed to make it",
        "It is tried again by itself; nothing was charged.",
        "../../docs/codes/flux_task_failed.md";
    FluxTaskLost = "flux_task_lost", AskPerson, 502, NotFound, Error,
        "the FLUX service does not know the task any more",
        "Look at the vendor's account whether it was charged, then orchestrator spend resolve <job>.",
        "../../docs/codes/flux_task_lost.md";
    FluxSampleExpired = "flux_sample_expired", GiveUp, 502, NotFound, Error,
        "the result was not fetched in time",
        "Submit it again; results can be fetched for ten minutes only.",
        "../../docs/codes/flux_sample_expired.md";
    FluxGarbled = "flux_garbled", Retry, 502, Internal, Warning,
        "the FLUX service answered something else than documented",
        "It is tried again by itself; check flux.url, and whether a proxy is in between.",
        "../../docs/codes/flux_garbled.md";
    FluxAddressRefused = "flux_address_refused", AskPerson, 502, PermissionDenied, Error,
        "the FLUX service named an address that is not asked",
        "Check flux.url; addresses must be public and use https.",
        "../../docs/codes/flux_address_refused.md";
    V0Unreachable = "v0_unreachable", Retry, 502, Unavailable, Warning,
        "v0 could not be reached",
        "Check the network and v0.url; it is tried again by itself.",
        "../../docs/codes/v0_unreachable.md";
    V0Unavailable = "v0_unavailable", Retry, 502, Unavailable, Warning,
        "v0 has trouble",
        "Wait; it is tried again by itself.",
        "../../docs/codes/v0_unavailable.md";
    V0Busy = "v0_busy", Retry, 429, ResourceExhausted, Info,
        "v0 wants fewer requests, or the chat is still generating",
        "Wait; it is tried again by itself.",
        "../../docs/codes/v0_busy.md";
    V0KeyRefused = "v0_key_refused", AskPerson, 401, Unauthenticated, Error,
        "v0 does not accept the key",
        "Check V0_API_KEY of the worker, restart it, and submit again.",
        "../../docs/codes/v0_key_refused.md";
    V0Forbidden = "v0_forbidden", AskPerson, 403, PermissionDenied, Error,
        "the v0 account may not do this",
        "Check the plan and the team of the account; the API needs a paid plan.",
        "../../docs/codes/v0_forbidden.md";
    V0CreditsExhausted = "v0_credits_exhausted", AskPerson, 402, ResourceExhausted, Error,
        "the v0 account has no credits",
        "Add credits or enable automatic top-up at v0, then retry the job.",
        "../../docs/codes/v0_credits_exhausted.md";
    V0ChatUnknown = "v0_chat_unknown", GiveUp, 404, NotFound, Info,
        "v0 does not know the chat",
        "Check the id; the chat may be deleted or belong to another team.",
        "../../docs/codes/v0_chat_unknown.md";
    V0RequestRefused = "v0_request_refused", GiveUp, 422, InvalidArgument, Warning,
        "v0 does not accept the request",
        "Correct what the message names and submit again.",
        "../../docs/codes/v0_request_refused.md";
    V0TooLarge = "v0_too_large", GiveUp, 413, InvalidArgument, Info,
        "the request is too large for v0",
        "Shorten the prompt or use smaller pictures.",
        "../../docs/codes/v0_too_large.md";
    V0GenerationFailed = "v0_generation_failed", GiveUp, 502, Internal, Warning,
        "v0 did not finish the site",
        "Read the message, then continue the chat or submit again; v0 may have charged for it.",
        "../../docs/codes/v0_generation_failed.md";
    V0NeedsAnswer = "v0_needs_answer", GiveUp, 409, FailedPrecondition, Info,
        "v0 asks something before it goes on",
        "Read the chat at v0 and continue it with an answer.",
        "../../docs/codes/v0_needs_answer.md";
    V0Garbled = "v0_garbled", Retry, 502, Internal, Warning,
        "v0 answered something else than documented",
        "It is tried again by itself; check v0.url and v0.version, and whether a proxy is in between.",
        "../../docs/codes/v0_garbled.md";
    V0Unoffered = "v0_unoffered", GiveUp, 503, Unavailable, Info,
        "no worker with a v0 key is here",
        "Set V0_API_KEY for a worker and start it.",
        "../../docs/codes/v0_unoffered.md";
}

impl FailureCode {
    /// The spelling that never changes, e.g. `comfyui_unreachable`.
    pub const fn as_str(self) -> &'static str {
        self.facts().code
    }

    /// Whether another attempt can end differently.
    pub const fn verdict(self) -> Verdict {
        self.facts().verdict
    }

    /// The HTTP status of an answer that carries it.
    pub const fn http(self) -> u16 {
        self.facts().http
    }

    /// The gRPC status of an answer that carries it.
    pub const fn grpc(self) -> tonic::Code {
        self.facts().grpc
    }

    /// How much it matters to who runs the system.
    pub const fn severity(self) -> Severity {
        self.facts().severity
    }

    /// What it means, in one line.
    pub const fn title(self) -> &'static str {
        self.facts().title
    }

    /// What to do about it, in one line.
    pub const fn remedy(self) -> &'static str {
        self.facts().remedy
    }

    /// The page about it, in Markdown.
    pub const fn page(self) -> &'static str {
        self.facts().page
    }

    /// The code with this spelling; `None` for one that this version does not know.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }

    /// Whether somebody has to tidy up before another attempt is worth while.
    pub const fn is_slow_to_mend(self) -> bool {
        matches!(self, Self::StoreFull | Self::ComfyuiOutOfMemory)
    }

    /// A failure of this code for a job's record.
    pub fn failure(self, message: impl Into<String>) -> v1::Failure {
        v1::Failure {
            code: self.as_str().to_owned(),
            message: message.into(),
            remedy: self.remedy().to_owned(),
            retryable: self.verdict() == Verdict::Retry,
            detail: String::new(),
            pointer: String::new(),
        }
    }
}

impl std::fmt::Display for FailureCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_code_is_spelled_once_and_read_back() {
        let spellings: HashSet<_> = FailureCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(spellings.len(), FailureCode::ALL.len());
        for code in FailureCode::ALL {
            assert_eq!(FailureCode::parse(code.as_str()), Some(*code));
            assert!(
                code.page().starts_with(&format!("# {code}\n")),
                "{code}: the page's first line names it"
            );
        }
    }

    /// The spelling and the statuses are a promise to callers.
    #[test]
    fn the_list_does_not_change_by_accident() {
        let list: Vec<String> = FailureCode::ALL
            .iter()
            .map(|code| {
                format!(
                    "{code} {:?} {} {:?} {:?}\n",
                    code.verdict(),
                    code.http(),
                    code.grpc(),
                    code.severity()
                )
            })
            .collect();
        insta::assert_snapshot!(list.concat());
    }
}
