"""The evaluator of policies: what IAM's documentation says of each case."""

import pytest

from tests.infra.policies import allows

OBJECT = "arn:aws:s3:::bucket/hpo/studies/a/000/0001/outcome.json"


def policy(effect="Allow", action="s3:PutObject", resource="arn:aws:s3:::bucket/hpo/*", **condition):
    statement = {"Effect": effect, "Action": action, "Resource": resource}
    return {
        "Version": "2012-10-17",
        "Statement": [statement | ({"Condition": condition} if condition else {})],
    }


def test_nothing_is_allowed_that_no_statement_allows():
    assert not allows([], "s3:PutObject", OBJECT)
    assert not allows([policy(action="s3:GetObject")], "s3:PutObject", OBJECT)
    assert not allows([policy(resource="arn:aws:s3:::other/*")], "s3:PutObject", OBJECT)
    assert allows([policy()], "s3:PutObject", OBJECT)


def test_a_deny_wins_over_every_allow_wherever_it_stands():
    for documents in ([policy(), policy("Deny")], [policy("Deny"), policy()]):
        assert not allows(documents, "s3:PutObject", OBJECT)
    both = {"Statement": [policy()["Statement"][0], policy("Deny", action="s3:*")["Statement"][0]]}
    assert not allows([both], "s3:PutObject", OBJECT)
    assert allows([policy(), policy("Deny", action="s3:DeleteObject")], "s3:PutObject", OBJECT)


def test_actions_are_globs_without_regard_to_case():
    assert allows([policy(action=["s3:Get*", "s3:put*"])], "S3:PutObject", OBJECT)
    assert not allows([policy(action="s3:Put")], "s3:PutObject", OBJECT)


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("*", True),
        ("arn:aws:s3:::bucket/hpo/studies/*/???/????/outcome.json", True),
        ("arn:aws:s3:::bucket/hpo/studies/*/??/????/outcome.json", False),
        ("arn:aws:s3:::bucket/*/outcome.json", True),  # an asterisk also stands for slashes
        ("arn:aws:s3:::bucket/hpo/studies/a/000/0001/OUTCOME.json", False),
        ("arn:aws:s3:::bucket/hpo/studies/[a]/000/0001/outcome.json", False),  # no other wildcards
        ("arn:aws:s3:::bucket/hpo/studies/a/000/0001/outcome.jso", False),
    ],
)
def test_resources_are_globs_with_regard_to_case(pattern, fits):
    assert allows([policy(resource=pattern)], "s3:PutObject", OBJECT) is fits


@pytest.mark.parametrize(
    ("operator", "wanted", "value", "fits"),
    [
        ("StringEquals", "prod", "prod", True),
        ("StringEquals", "prod", "dev", False),
        ("StringEquals", "prod", None, False),
        ("StringEquals", ["dev", "prod"], "prod", True),
        ("StringEqualsIfExists", "prod", None, True),
        ("StringEqualsIfExists", "prod", "dev", False),
        ("StringNotEquals", "prod", "dev", True),
        ("StringNotEquals", ["dev", "prod"], "dev", False),
        ("StringNotEquals", "prod", None, True),
        ("StringLike", ["m5.*", "c5.*"], "c5.large", True),
        ("StringLike", ["m5.*", "c5.*"], "p5.48xlarge", False),
        ("ArnLike", "arn:aws:ec2:*:*:launch-template/lt-1", "arn:aws:ec2:eu:1:launch-template/lt-1", True),
        ("Bool", "false", False, True),
        ("Bool", "false", "true", False),
        ("Bool", "false", None, False),
        ("Null", "true", None, True),
        ("Null", "true", "*", False),
        ("Null", "false", "*", True),
        ("Null", "false", None, False),
        ("NumericLessThanEquals", "86400", 86400, True),
        ("NumericLessThanEquals", "86400", 86401, False),
        ("NumericLessThanEquals", "86400", None, False),
        ("ForAllValues:StringLike", ["ml.m5.*"], ["ml.m5.large", "ml.m5.xlarge"], True),
        ("ForAllValues:StringLike", ["ml.m5.*"], ["ml.m5.large", "ml.p5.48xlarge"], False),
        ("ForAllValues:StringLike", ["ml.m5.*"], None, True),
        ("ForAnyValue:StringEquals", ["a"], ["b", "a"], True),
        ("ForAnyValue:StringEquals", ["a"], None, False),
    ],
)
def test_condition_operators(operator, wanted, value, fits):
    document = policy(**{operator: {"Some:Key": wanted}})
    context = {} if value is None else {"some:key": value}
    assert allows([document], "s3:PutObject", OBJECT, context) is fits


def test_all_conditions_of_a_statement_must_hold():
    document = policy(StringEquals={"a:x": "1", "a:y": "2"}, Bool={"a:z": "true"})
    whole = {"a:x": "1", "a:y": "2", "a:z": True}
    assert allows([document], "s3:PutObject", OBJECT, whole)
    for key in whole:
        assert not allows([document], "s3:PutObject", OBJECT, {k: v for k, v in whole.items() if k != key})


def test_a_deny_with_a_condition_denies_only_where_it_holds():
    documents = [policy(), policy("Deny", Null={"s3:if-none-match": "true"})]
    assert not allows(documents, "s3:PutObject", OBJECT)
    assert allows(documents, "s3:PutObject", OBJECT, {"s3:if-none-match": "*"})


@pytest.mark.parametrize(
    "change",
    [
        {"NotAction": "s3:GetObject"},
        {"NotResource": "*"},
        {"Principal": {"AWS": "arn:aws:iam::1:root"}},
        {"Condition": {"DateLessThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"}}},
        {"Condition": {"ForSomeValues:StringEquals": {"a:b": "c"}}},
        {"Resource": "arn:aws:s3:::bucket/${aws:username}/*"},
    ],
)
def test_what_is_not_understood_is_refused_not_skipped(change):
    document = policy()
    document["Statement"][0] |= change
    with pytest.raises(ValueError, match="underst"):
        allows([document], "s3:PutObject", OBJECT)
