"""SageMaker training jobs: they run under /opt/ml, and end, cost and are interrupted as AWS's do."""

import io
import tarfile
import time

import pytest
from botocore.exceptions import ClientError

from aws_double.ec2_site import wait_until
from aws_double.processes import namespaces_available

pytestmark = pytest.mark.skipif(not namespaces_available(), reason="no /opt/ml without mount namespaces")
ROLE = "arn:aws:iam::123456789012:role/trainer"


@pytest.fixture
def train(aws):
    """train(name, script, …) submits a shell script as a training job."""
    bucket = aws.new_bucket()

    def submit(name, script, *, algorithm=None, resources=None, limits=None, **parameters):
        aws.client("sagemaker").create_training_job(
            TrainingJobName=name,
            AlgorithmSpecification={
                "TrainingImage": "trial:1",
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["sh", "-c"],
                "ContainerArguments": [script],
                **(algorithm or {}),
            },
            RoleArn=ROLE,
            OutputDataConfig={"S3OutputPath": f"s3://{bucket}/out"},
            ResourceConfig={
                "InstanceType": "ml.m5.large",
                "InstanceCount": 1,
                "VolumeSizeInGB": 10,
                **(resources or {}),
            },
            StoppingCondition={"MaxRuntimeInSeconds": 3600, **(limits or {})},
            **parameters,
        )
        return name

    submit.bucket = bucket
    return submit


def describe(aws, name):
    return aws.client("sagemaker").describe_training_job(TrainingJobName=name)


def wait_for(aws, name):
    wait_until(lambda: describe(aws, name)["TrainingJobStatus"] in {"Completed", "Failed", "Stopped"})
    return describe(aws, name)


def wait_training(aws, name):
    wait_until(lambda: describe(aws, name)["SecondaryStatus"] == "Training")


def error_of(call, *arguments, **parameters):
    with pytest.raises(ClientError) as caught:
        call(*arguments, **parameters)
    return caught.value.response["Error"]["Code"]


def content(aws, uri):
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()


def model(aws, job):
    """Names and contents of the files in a job's model."""
    packed = io.BytesIO(content(aws, job["ModelArtifacts"]["S3ModelArtifacts"]))
    with tarfile.open(fileobj=packed) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


def test_a_job_reads_opt_ml_and_leaves_its_model_in_s3(aws, train):
    aws.client("s3").put_object(Bucket=train.bucket, Key="data/table.csv", Body=b"a,b\n")
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{train.bucket}/data"}}
    script = (
        "cat /opt/ml/input/config/hyperparameters.json /opt/ml/input/data/train/table.csv > /opt/ml/model/seen;"
        "echo extra > /opt/ml/output/data/extra; echo $TRAINING_JOB_NAME $MY"
    )
    train(
        "first",
        script,
        HyperParameters={"lr": "0.1"},
        Environment={"MY": "own"},
        InputDataConfig=[{"ChannelName": "train", "DataSource": source}],
    )
    job = wait_for(aws, "first")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert model(aws, job) == {"seen": b'{"lr": "0.1"}a,b\n'}
    assert content(aws, f"s3://{train.bucket}/out/first/output/output.tar.gz")
    statuses = [each["Status"] for each in job["SecondaryStatusTransitions"]]
    assert statuses == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert job["TrainingTimeInSeconds"] == job["BillableTimeInSeconds"] >= 1
    (stream,) = aws.client("logs").describe_log_streams(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix="first/"
    )["logStreams"]
    events = aws.client("logs").get_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamName=stream["logStreamName"]
    )["events"]
    assert [event["message"] for event in events] == ["first own"]


def test_metrics_are_read_off_the_output(aws, train):
    definitions = [{"Name": "rmse", "Regex": "rmse=([0-9.]+)"}]
    train("metrics", "echo rmse=0.5; echo rmse=0.25", algorithm={"MetricDefinitions": definitions})
    (metric,) = wait_for(aws, "metrics")["FinalMetricDataList"]
    assert (metric["MetricName"], metric["Value"]) == ("rmse", 0.25)


def test_a_failing_job_says_what_the_program_wrote(aws, train):
    train("bad", "echo out of range > /opt/ml/output/failure; exit 2")
    job = wait_for(aws, "bad")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("AlgorithmError: out of range")
    assert "exit code: 2" in job["FailureReason"]


def test_a_stopped_job_gets_term_and_keeps_its_model(aws, train):
    train("stopped", "trap 'echo x > /opt/ml/model/m; exit 0' TERM; while :; do sleep 0.05; done")
    wait_training(aws, "stopped")
    time.sleep(0.2)  # until the shell has set its trap, which nothing outside can see
    aws.client("sagemaker").stop_training_job(TrainingJobName="stopped")
    job = wait_for(aws, "stopped")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert model(aws, job) == {"m": b"x\n"}
    stop = aws.client("sagemaker").stop_training_job
    assert error_of(stop, TrainingJobName="stopped") == "ValidationException"


def test_a_job_over_its_runtime_is_stopped(aws, train):
    aws.inject("config", clock=100, grace=0.1)
    train("long", "exec sleep 100", limits={"MaxRuntimeInSeconds": 30})
    job = wait_for(aws, "long")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_an_interrupted_spot_job_goes_on_from_its_checkpoint_and_is_billed_less(aws, train):
    script = """
        cd /opt/ml/checkpoints
        epoch=$(cat epoch 2>/dev/null || echo 0)
        echo start at $epoch
        while [ $epoch -lt 20 ]; do epoch=$((epoch + 1)); echo $epoch > tmp; mv tmp epoch; sleep 0.1; done
    """
    train(
        "spot",
        script,
        limits={"MaxWaitTimeInSeconds": 7200},
        EnableManagedSpotTraining=True,
        CheckpointConfig={"S3Uri": f"s3://{train.bucket}/checkpoints"},
    )
    wait_training(aws, "spot")
    s3 = aws.client("s3")
    wait_until(lambda: "Contents" in s3.list_objects_v2(Bucket=train.bucket, Prefix="checkpoints/epoch"))
    assert aws.inject("sagemaker/interrupt", TrainingJobName="spot", notice=0.1)["done"]
    job = wait_for(aws, "spot")
    assert job["TrainingJobStatus"] == "Completed"
    statuses = [each["Status"] for each in job["SecondaryStatusTransitions"]]
    assert statuses.count("Training") == 2
    assert "Interrupted" in statuses
    assert job["BillableTimeInSeconds"] < job["TrainingTimeInSeconds"]
    streams = aws.client("logs").describe_log_streams(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix="spot/"
    )["logStreams"]
    starts = sorted(
        event["message"]
        for stream in streams
        for event in aws.client("logs").get_log_events(
            logGroupName="/aws/sagemaker/TrainingJobs", logStreamName=stream["logStreamName"]
        )["events"]
    )
    assert starts[0] == "start at 0"
    assert starts[1] != "start at 0"


def test_a_lost_machine_fails_an_on_demand_job_unless_it_may_be_retried(aws, train):
    for name, extra in (("once", {}), ("again", {"RetryStrategy": {"MaximumRetryAttempts": 1}})):
        train(name, "sleep 1", **extra)
        wait_training(aws, name)
        wait_until(lambda name=name: aws.inject("sagemaker/interrupt", TrainingJobName=name)["done"])
    assert wait_for(aws, "once")["FailureReason"].startswith("InternalServerError")
    assert wait_for(aws, "again")["TrainingJobStatus"] == "Completed"


def test_out_of_memory_is_a_client_error(aws, train):
    train("hungry", "exec sleep 100")
    wait_until(lambda: aws.inject("sagemaker/oom", TrainingJobName="hungry")["done"])
    assert "more memory" in wait_for(aws, "hungry")["FailureReason"]


def test_a_warm_pool_is_used_by_the_next_job_of_the_same_kind(aws, train):
    aws.inject("sagemaker/config", cold=0.5, warm=0.01)
    keep = {"KeepAlivePeriodInSeconds": 600}
    train("pool-1", "true", resources=keep)
    wait_for(aws, "pool-1")
    wait_until(lambda: describe(aws, "pool-1")["WarmPoolStatus"]["Status"] == "Available")
    assert aws.alive()["sagemaker"] == ["pool-1"]
    started = time.monotonic()
    train("pool-2", "true", resources=keep)
    assert describe(aws, "pool-1")["WarmPoolStatus"]["ReusedByJob"] == "pool-2"
    assert wait_for(aws, "pool-2")["TrainingJobStatus"] == "Completed"
    assert time.monotonic() - started < 0.5
    wait_until(lambda: describe(aws, "pool-2")["WarmPoolStatus"]["Status"] == "Available")
    aws.client("sagemaker").update_training_job(
        TrainingJobName="pool-2", ResourceConfig={"KeepAlivePeriodInSeconds": 0}
    )
    assert describe(aws, "pool-2")["WarmPoolStatus"]["Status"] == "Terminated"
    assert aws.alive()["sagemaker"] == []


def test_a_warm_pool_ends_with_its_keep_alive(aws, train):
    aws.inject("config", clock=600)
    train("kept", "true", resources={"KeepAlivePeriodInSeconds": 60})
    wait_for(aws, "kept")
    wait_until(lambda: describe(aws, "kept")["WarmPoolStatus"]["Status"] == "Terminated")


def test_what_aws_refuses_is_refused(aws, train):
    train("unique", "true")
    assert error_of(train, "unique", "true") == "ResourceInUse"
    spot = {"EnableManagedSpotTraining": True, "limits": {"MaxWaitTimeInSeconds": 7200}}
    keep = {"KeepAlivePeriodInSeconds": 60}
    assert error_of(train, "warm-spot", "true", resources=keep, **spot) == "ValidationException"
    assert error_of(train, "no-wait", "true", EnableManagedSpotTraining=True) == "ValidationException"
    assert error_of(describe, aws, "absent") == "ValidationException"
    aws.inject("sagemaker/config", limit={"ml.m5.large": 0})
    assert error_of(train, "too-many", "true") == "ResourceLimitExceeded"


def test_without_capacity_an_on_demand_job_fails_and_a_spot_job_waits(aws, train):
    aws.inject("sagemaker/config", no_capacity=["ml.m5.large"])
    train("now", "true")
    train("later", "true", EnableManagedSpotTraining=True, limits={"MaxWaitTimeInSeconds": 7200})
    assert wait_for(aws, "now")["FailureReason"].startswith("CapacityError")
    assert describe(aws, "later")["SecondaryStatus"] == "Starting"
    aws.inject("sagemaker/config", no_capacity=[])
    assert wait_for(aws, "later")["TrainingJobStatus"] == "Completed"


def test_jobs_are_listed_by_name_status_and_pool_with_their_tags(aws, train):
    sagemaker = aws.client("sagemaker")
    train("study-a-0", "true", Tags=[{"Key": "study", "Value": "a"}])
    train("study-b-0", "exec sleep 100")
    arn = wait_for(aws, "study-a-0")["TrainingJobArn"]

    def names(**parameters):
        return [
            job["TrainingJobName"]
            for job in sagemaker.list_training_jobs(**parameters)["TrainingJobSummaries"]
        ]

    assert names() == ["study-b-0", "study-a-0"]
    assert names(NameContains="study-a") == ["study-a-0"]
    assert names(StatusEquals="InProgress") == ["study-b-0"]
    assert names(WarmPoolStatusEquals="Available") == []
    assert names(MaxResults=1, SortBy="Name", SortOrder="Ascending") == ["study-a-0"]
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "study", "Value": "a"}]


def test_light_jobs_find_their_folders_in_variables(aws, train):
    aws.inject("config", light=True)
    train("light", "echo weights > $SM_MODEL_DIR/w")
    job = wait_for(aws, "light")
    assert job["TrainingJobStatus"] == "Completed"
    assert model(aws, job) == {"w": b"weights\n"}
