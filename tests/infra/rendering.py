"""The template with its parameters filled in, without any server: what CloudFormation would hand to each service."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from cfnlint.decode import decode

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "infra" / "hpo.yaml"
ACCOUNT, REGION = "123456789012", "eu-west-1"
GIVEN = {
    "Deployment": "prod",
    "VpcId": "vpc-0a1b2c3d",
    "SubnetIds": "subnet-0a1b2c3d,subnet-4e5f6a7b",
    "Image": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/trial:1",
    "FleetImageId": "ami-0a1b2c3d",
}
"""What a user would give; the template's defaults stand for the rest."""
PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Region": REGION,
    "AWS::Partition": "aws",
    "AWS::NoValue": None,
}
BUCKET = f"hpo-prod-{ACCOUNT}-{REGION}"


@cache
def template() -> Mapping[str, Any]:
    """The template as it is written; short forms of functions as long ones."""
    decoded, problems = decode(str(TEMPLATE))
    assert not problems, problems
    return decoded


class Rendered:
    """The template with parameters.

    Attributes:
        resources: logical id → {"Type":…, "Properties":…}; those whose condition is false are left out.
        outputs: name → value.
    """

    def __init__(self, **parameters: str) -> None:
        self._template = template()
        self._values = {name: self._parameter(name, parameters) for name in self._template["Parameters"]}
        self.resources = {
            name: {
                "Type": each["Type"],
                "Properties": self._resolve(each.get("Properties", {})),
            }
            for name, each in self._template["Resources"].items()
            if self._condition(each.get("Condition"))
        }
        self.outputs = {
            name: self._resolve(each["Value"])
            for name, each in self._template["Outputs"].items()
            if self._condition(each.get("Condition"))
        }

    def of_type(self, type_: str) -> dict[str, dict[str, Any]]:
        """Logical id → properties of all resources of a type."""
        return {name: each["Properties"] for name, each in self.resources.items() if each["Type"] == type_}

    def policy(self, *names: str) -> list[dict[str, Any]]:
        """Documents of managed policies or roles, by logical id; a role's with those that are attached to it."""
        return [document for name in names for document in self._documents(name)]

    def all_documents(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """(logical id, document) of every policy, but for the trust policies."""
        for name in [*self.of_type("AWS::IAM::ManagedPolicy"), *self.of_type("AWS::S3::BucketPolicy")]:
            yield name, self.resources[name]["Properties"]["PolicyDocument"]
        for name, role in self.of_type("AWS::IAM::Role").items():
            for inline in role.get("Policies", ()):
                yield name, inline["PolicyDocument"]

    def _documents(self, name: str) -> Iterator[dict[str, Any]]:
        properties = self.resources[name]["Properties"]
        if "PolicyDocument" in properties:
            yield properties["PolicyDocument"]
        for inline in properties.get("Policies", ()):
            yield inline["PolicyDocument"]
        ours = {
            self.arn(each): each
            for each in self._template["Resources"]
            if self._template["Resources"][each]["Type"] == "AWS::IAM::ManagedPolicy"
        }
        for arn in properties.get("ManagedPolicyArns", ()):
            if arn in ours:
                yield from self._documents(ours[arn])
        for policy in self.of_type("AWS::IAM::ManagedPolicy").values():
            if "RoleName" in properties and properties["RoleName"] in policy.get("Roles", ()):
                yield policy["PolicyDocument"]

    def _parameter(self, name: str, parameters: Mapping[str, str]) -> Any:
        declared = self._template["Parameters"][name]
        value = str({**GIVEN, **parameters}.get(name, declared.get("Default")))
        is_list = declared["Type"] == "CommaDelimitedList" or declared["Type"].startswith("List<")
        return value.split(",") if is_list else value

    def _condition(self, name: str | None) -> bool:
        return name is None or self._resolve(self._template["Conditions"][name])

    def _resolve(self, node: Any) -> Any:
        if isinstance(node, list):
            return [each for each in map(self._resolve, node) if each is not None]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((function, argument),) = node.items()
            if function in self._FUNCTIONS:
                return self._FUNCTIONS[function](self, argument)
        resolved = {key: self._resolve(value) for key, value in node.items()}
        return {key: value for key, value in resolved.items() if value is not None}

    def _ref(self, name: str) -> Any:
        if name in PSEUDO:
            return PSEUDO[name]
        return self._values[name] if name in self._values else self._physical_id(name)

    def _sub(self, text: str) -> str:
        def value(match: re.Match[str]) -> str:
            name, dot, attribute = match[1].partition(".")
            return str(self._get_att([name, attribute]) if dot else self._ref(name))

        return re.sub(r"\$\{([^}]+)\}", value, text)

    def _get_att(self, path: list[str]) -> str:
        name, attribute = path
        if attribute == "Arn":
            return self.arn(name)
        return f"{name}-{attribute}"  # what AWS makes up

    def _physical_id(self, name: str) -> str:
        resource = self._template["Resources"][name]
        if resource["Type"] == "AWS::IAM::ManagedPolicy":
            return self.arn(name)
        return self._given_name(name) or f"{name}-id"

    def _given_name(self, name: str) -> str | None:
        properties = self._template["Resources"][name]["Properties"]
        found = [key for key in properties if key.endswith("Name") and key != "LaunchTemplateName"]
        return self._resolve(properties[found[0]]) if found else None

    def arn(self, name: str) -> str:
        """ARN of a resource, by logical id."""
        given = self._given_name(name)
        match self._template["Resources"][name]["Type"]:
            case "AWS::S3::Bucket":
                return f"arn:aws:s3:::{given}"
            case "AWS::IAM::Role":
                return f"arn:aws:iam::{ACCOUNT}:role/{given}"
            case "AWS::IAM::ManagedPolicy":
                return f"arn:aws:iam::{ACCOUNT}:policy/{given}"
            case "AWS::IAM::InstanceProfile":
                return f"arn:aws:iam::{ACCOUNT}:instance-profile/{given}"
        raise ValueError(f"no ARN known for {name}")

    _FUNCTIONS = {  # noqa: RUF012 - constant
        "Ref": _ref,
        "Fn::Sub": _sub,
        "Fn::GetAtt": _get_att,
        "Fn::Join": lambda self, argument: argument[0].join(self._resolve(argument[1])),
        "Fn::Base64": lambda self, argument: self._resolve(argument),
        "Fn::Equals": lambda self, argument: self._resolve(argument[0]) == self._resolve(argument[1]),
        "Fn::Not": lambda self, argument: not self._resolve(argument[0]),
        "Fn::If": lambda self, argument: self._resolve(argument[1 if self._condition(argument[0]) else 2]),
    }
