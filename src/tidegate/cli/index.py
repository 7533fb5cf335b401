"""The verbs of every room. Written by `make index`; a test compares it with the operations."""

ROOMS: dict[str, tuple[str, dict[str, str]]] = {
    "data": (
        "Datasets: named tables in immutable versions, and the contract that each version keeps.",
        {
            "register": "Make a version of fragments that are already stored.",
            "set-contract": "Put another contract in force; versions keep the one that they were checked against.",
            "contract": "The contract in force.",
            "contracts": "Every contract that was in force, the newest first.",
            "get": "One version of a dataset.",
            "resolve": "The version that a reference names: `flights` (the newest), `flights/7`, or 12 digits or more of a digest.",
            "versions": "The versions of a dataset, the newest first.",
            "list": "The datasets, by name.",
        },
    ),
    "runs": (
        "Runs: executions of training code, with params, metrics, code, environment and inputs.",
        {
            "create": "Begin a run. ``inputs`` are references of dataset versions.",
            "log": "Tell a run more, all of it or nothing.",
            "finish": "End a run. Raises `Conflict` when it has ended already.",
            "get": "One run, with the latest value of each metric.",
            "history": "Every measurement of a run, or of one metric of it, in the order of name, step, time, value.",
            "chart": "Metrics of a run over their steps, in at most ``points`` buckets (1 to 5,000) of one width; all on one grid.",
            "list": "Runs, the newest first; of one experiment, or in one status, where that is given.",
        },
    ),
    "features": (
        "Features: defined once, joined point in time for training, looked up as of an instant for serving.",
        {
            "apply": "Make a version of a feature service and of its views; the same definition again answers the one there is.",
            "get": "The version of a service that a reference names: `name` (the newest), `name/7`, or a digest's beginning.",
            "list": "The feature services, by name.",
            "views": "The versions of feature views, by name and number.",
            "push": "Tell the online store rows of a view's source, as soon as they are known; the next request sees them.",
            "load": "Merge packed rows, which `materialize` put on the object plane, into the online store.",
            "online": "The features of rows as of an instant (now unless given), as a model takes them.",
            "moment": "The business time of this home: what is known later does not exist yet.",
        },
    ),
    "models": (
        "Versions of models, and the stage that each has reached.",
        {
            "register": "Make a version of files that are kept already.",
            "resolve": "The version that a reference means: `name` (the latest), `name/7`, `name@alias` or a digest's prefix.",
            "get": "One version.",
            "versions": "The versions of a model, newest first.",
            "list": "Models, by name.",
            "promote": "Move a version to another stage, if it has all that the stage's policy asks for.",
            "attest": "Note what was found of a version: a gate's verdict, or an approval.",
            "override": "Let a version pass without a gate, in your own name, with a reason that stays beside it.",
            "attestations": "What was attested of a version, newest first.",
            "set-alias": "Point an alias at a version.",
            "aliases": "The aliases of a model, by alias.",
            "policy": "What a version must show before it may move to a stage.",
            "set-policy": "Decide what a version must show before it may move to a stage; versions that stand there stay.",
        },
    ),
    "gates": (
        "What a version must show before it may be trusted.",
        {
            "plan": "Announce a test, so that its policy and its rows are known before its result.",
            "record": "Keep the figures of a planned test; the verdict is drawn here, and attested of the version.",
            "get": "One report.",
            "list": "Reports, newest first; on one version where it is given.",
            "unfinished": "Tests of a version that were planned and never reported, newest first.",
        },
    ),
    "pipelines": (
        "Pipelines: functions in order, each journaled, so that a killed run goes on where it was.",
        {
            "register": "Say which functions a pipeline runs, in order.",
            "get": "One version of a pipeline; the newest unless a number is given.",
            "list": "The newest version of each pipeline, by name.",
            "start": "Start a run of the newest version of a pipeline.",
            "get-run": "One run: its state, and the state and output of each step.",
            "runs": "The runs of a pipeline, the newest first; in one state, where that is given.",
            "cancel": "End a run before it is done; what its steps did stays.",
        },
    ),
    "predictions": (
        "What was predicted, and the labels that arrived later.",
        {
            "count": "Count the predictions and labels of each endpoint.",
            "get": "Show one prediction: what was asked, what was answered, and the labels that have arrived.",
        },
    ),
    "endpoints": (
        "Endpoints: the names under which predictions are asked for, and the model versions behind them.",
        {
            "deploy": "Put a model version behind an endpoint, which is made where there is none.",
            "withdraw": "Take back a canary or a shadow, named by its deployment's id or its version, such as `late-arrival/4`.",
            "retire": "Take an endpoint out of service; its deployments, predictions and labels stay. Deploying revives it.",
            "get": "One endpoint, with the deployment that answers.",
            "deployments": "Deployments of an endpoint, newest first.",
            "predict": "Answer rows with the endpoint's model, validated against its signature and logged.",
            "labels": "Tell what became of predictions: all labels are taken, or none.",
            "list": "Endpoints, by name.",
        },
    ),
    "monitors": (
        "What predictions were worth once their labels arrived, and whether their inputs are what they were.",
        {
            "windows": "List the windows of an endpoint, newest first, one for each model version and variant that answered in it.",
            "latest": "Show how an endpoint stands: its newest window, the newest with labels, and labels that fit no prediction.",
            "set-window": "Choose how long the windows of an endpoint are, from a minute to 366 days; a day unless chosen.",
            "set-segments": "Part the traffic of an endpoint by up to 8 columns of its inputs; by none to stop.",
            "use-reference": "Choose what the windows of an endpoint are compared with, one of three.",
            "set-detection": "Choose how carefully an endpoint is watched, and when its windows are finished.",
            "settings": "How an endpoint is watched.",
            "segments": "List the windows of an endpoint by segment, newest first: predictions, labels and quality of each.",
            "features": "Show the newest window of an endpoint's inputs, column by column, with its distances from the reference.",
            "episodes": "List what changed at an endpoint, newest first; those that are not over with `open_only`.",
            "diagnosis": "Say what is the matter with an endpoint: nothing, other inputs, a broken input, or another relationship.",
        },
    ),
    "rollouts": (
        "How canaries took over, or did not, and the evidence.",
        {
            "get": "One rollout: its steps, its evidence, and what decided it or what it waits for.",
            "cancel": "Stop a rollout and take its canary's traffic back at once; stable answers on.",
            "list": "Rollouts, newest first; `endpoint`: only those of one.",
        },
    ),
    "incidents": (
        "What a person ought to look at: opened by what happened, acknowledged, resolved.",
        {
            "list": "List incidents, the newest first; in one state, or of one endpoint, where that is given.",
            "get": "One incident: what it is, what to do, and its timeline.",
            "acknowledge": "Say that you have seen an incident and look after it.",
            "resolve": "Say that an incident is over, and why.",
            "note": "Add a note to the timeline of an incident, also of one that is resolved.",
        },
    ),
    "people": (
        "People, their roles, and the tokens by which a server knows them.",
        {
            "add": "Add a person with one role, and a token that is shown this once.",
            "get": "One person with their roles.",
            "list": "People: first `local`, then by name.",
            "grant": "Give a person one more role; granting it twice changes nothing.",
            "revoke": "Take a role from a person, at once. The last admin stays one.",
            "new-token": "Make another token for a person, shown this once; the others stay valid.",
            "tokens": "The tokens of a person, newest first: when they were made, when they end, never the token itself.",
            "revoke-token": "End a token, at once. Revoking it twice changes nothing.",
        },
    ),
    "approvals": (
        "Four eyes: a person other than the author approves or rejects a version.",
        {
            "approve": "Approve a version, in your own name, with a reason. Its author never can.",
            "reject": "Reject a version: no approval helps it until you withdraw this or approve.",
            "withdraw": "Take back your approval or rejection of a version.",
            "standing": "What each person last said of a version and has not withdrawn, by person.",
        },
    ),
    "audit": (
        "Who did what: the audit chain, and the proof that nobody has changed it.",
        {
            "list": "Rows of the chain, newest first; of one actor, subject or operation (`models.promote`) where given.",
            "verify": "Recompute every hash of the chain from the beginning.",
        },
    ),
    "retraining": (
        "When a model is trained anew: drift proposes, measured performance confirms, a broken input blocks.",
        {
            "set-policy": "Decide when the model behind an endpoint is trained anew, by which pipeline; its runs act in your name.",
            "policy": "Show when the model behind an endpoint is trained anew.",
            "decisions": "List what was decided, newest first: every retraining, and once a reason each that was held back.",
            "retrain": "Train the model behind an endpoint anew now, by its policy's pipeline and in your own name.",
        },
    ),
}
