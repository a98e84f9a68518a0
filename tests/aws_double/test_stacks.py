"""What CloudFormation makes can be used as if it had been made by calls."""

import json

from aws_double.batch_site import TRUST, log_lines, wait_for
from aws_double.ec2_site import IMAGE, wait_until

USER_DATA = "IyEvYmluL3NoCmVjaG8gaGkK"  # #!/bin/sh, echo hi


SPOT_ONLY = [{"OnStatusReason": "Host EC2*", "Action": "RETRY"}, {"OnReason": "*", "Action": "EXIT"}]
DEFINITION = {
    "JobDefinitionName": "stack-trial",
    "Type": "container",
    "Timeout": {"AttemptDurationSeconds": 600},
    "RetryStrategy": {"Attempts": 2, "EvaluateOnExit": SPOT_ONLY},
    "ContainerProperties": {
        "Image": "trial:1",
        "Command": ["echo", "Ref::request"],
        "ResourceRequirements": [{"Type": "VCPU", "Value": "1"}, {"Type": "MEMORY", "Value": "512"}],
    },
}
QUEUE = {
    "JobQueueName": "stack-queue",
    "Priority": 1,
    "ComputeEnvironmentOrder": [{"Order": 1, "ComputeEnvironment": {"Ref": "Machines"}}],
}
FLEET = {
    "LaunchTemplateName": "stack-fleet",
    "LaunchTemplateData": {"ImageId": IMAGE, "InstanceType": "m5.large", "UserData": USER_DATA},
}


def resources(subnet):
    machines = {
        "Type": "SPOT",
        "MinvCpus": 0,
        "MaxvCpus": 8,
        "DesiredvCpus": 0,
        "InstanceTypes": ["m5.large"],
        "Subnets": [subnet["SubnetId"]],
        "SecurityGroupIds": [{"Fn::GetAtt": ["Group", "GroupId"]}],
        "InstanceRole": {"Fn::GetAtt": ["Profile", "Arn"]},
    }
    environment = {
        "ComputeEnvironmentName": "machines",
        "Type": "MANAGED",
        "ServiceRole": {"Fn::GetAtt": ["Role", "Arn"]},
        "ComputeResources": machines,
    }
    described = {
        "Role": ("IAM::Role", {"AssumeRolePolicyDocument": TRUST}),
        "Profile": ("IAM::InstanceProfile", {"Roles": [{"Ref": "Role"}]}),
        "Group": ("EC2::SecurityGroup", {"GroupDescription": "trials", "VpcId": subnet["VpcId"]}),
        "Machines": ("Batch::ComputeEnvironment", environment),
        "Queue": ("Batch::JobQueue", QUEUE),
        "Definition": ("Batch::JobDefinition", DEFINITION),
        "Template": ("EC2::LaunchTemplate", FLEET),
    }
    return {name: {"Type": f"AWS::{kind}", "Properties": given} for name, (kind, given) in described.items()}


def test_jobs_and_instances_run_from_what_a_stack_has_made(aws):
    ec2, batch = aws.client("ec2"), aws.client("batch")
    template = {"Resources": resources(ec2.describe_subnets()["Subnets"][0])}
    aws.client("cloudformation").create_stack(
        StackName="hpo", TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_IAM"]
    )
    job_id = batch.submit_job(
        jobName="job", jobQueue="stack-queue", jobDefinition="stack-trial", parameters={"request": "s3://b/k"}
    )["jobId"]
    job = wait_for(aws, job_id)
    assert log_lines(aws, job) == ["s3://b/k"]
    assert job["timeout"] == {"attemptDurationSeconds": 600}
    assert job["retryStrategy"]["attempts"] == 2
    reply = ec2.run_instances(MinCount=1, MaxCount=1, LaunchTemplate={"LaunchTemplateName": "stack-fleet"})
    instance_id = reply["Instances"][0]["InstanceId"]
    wait_until(lambda: instance_id in {i["InstanceId"] for i in online(aws)})
    wait_until(lambda: aws.inject("ec2/console", instanceId=instance_id) == "hi\n")


def online(aws):
    return aws.client("ssm").describe_instance_information()["InstanceInformationList"]
