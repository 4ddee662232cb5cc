"""The packaged template keeps what makes the AWS home safe, whatever a later edit does to it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.aws.conftest import Packaged, Template
from tests.aws.emulator import interpreter
from unlost.ledger.dynamodb import schema
from unlost.settings import resolve

FUNCTIONS = ("Api", "Process", "Monitor", "Sweep", "Count")
# What somebody may say on the command line, all in one deploy.
GIVEN: dict[str, Any] = {
    "apiKeys": "off",
    "alarmEmail": "ops@example.com",
    "processTimeout": 900,
    "handlerPolicies": "arn:aws:iam::aws:policy/AmazonSESFullAccess",
    "webhookUrl": "https://example.com/hook",
    "maxOutstanding": 5000,
    "corsOrigin": "https://app.example,https://other.example",
}


@pytest.fixture
def template(packaged: Packaged) -> Template:
    return packaged("prod")


def of_type(template: Template, kind: str) -> dict[str, dict[str, Any]]:
    """The properties of every resource of this type, by logical id."""
    return {
        name: resource["Properties"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == kind
    }


def properties(template: Template, name: str) -> dict[str, Any]:
    found: dict[str, Any] = template["Resources"][name]["Properties"]
    return found


def environment(template: Template, function: str) -> dict[str, Any]:
    found: dict[str, Any] = properties(template, f"{function}LambdaFunction")["Environment"]
    return dict(found["Variables"])


def mapping(template: Template, function: str) -> dict[str, Any]:
    of_function = {"Fn::GetAtt": [f"{function}LambdaFunction", "Arn"]}
    mappings = of_type(template, "AWS::Lambda::EventSourceMapping").values()
    [found] = [each for each in mappings if each["FunctionName"] == of_function]
    return found


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, role in of_type(template, "AWS::IAM::Role").items():
        for policy in role["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                yield name, statement


def test_cfn_lint_finds_nothing_but_what_osls_itself_brings(
    packaged: Packaged, tmp_path: Path
) -> None:
    for stage in ("dev", "prod"):
        (tmp_path / f"{stage}.json").write_text(json.dumps(packaged(stage)))
    # W3005: osls orders resources that CloudFormation would order by itself.
    options = ("--ignore-checks", "W3005", "--regions", "eu-central-1", "--")
    command = [str(interpreter().with_name("cfn-lint")), *options, *map(str, tmp_path.iterdir())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


class TestAccess:
    def test_each_function_has_a_role_of_its_own(self, template: Template) -> None:
        assert set(of_type(template, "AWS::IAM::Role")) == {f"{each}Role" for each in FUNCTIONS}
        for name in FUNCTIONS:
            role = properties(template, f"{name}LambdaFunction")["Role"]
            assert role == {"Fn::GetAtt": [f"{name}Role", "Arn"]}

    def test_no_role_may_do_everything_or_to_everything(self, template: Template) -> None:
        for role, statement in statements(template):
            assert not {"NotAction", "NotResource"} & set(statement), role
            for action in listed(statement["Action"]):
                assert "*" not in action, (role, action)
            for resource in listed(statement["Resource"]):
                # A name of ours, or a stream of a function's own log group.
                text = resource.get("Fn::Sub", "")
                assert resource.get("Fn::GetAtt") or text.startswith(("${Table.Arn}/", "arn:"))
                assert "*" not in text.removesuffix(":*"), (role, text)
                assert not text.endswith(":*") or ":log-group:/aws/lambda/unlost-prod-" in text

    def test_a_function_writes_to_its_own_log_only(self, template: Template) -> None:
        logs = [(role, each) for role, each in statements(template) if "logs:" in str(each)]
        assert len(logs) == len(FUNCTIONS)
        for role, statement in logs:
            own = f"/aws/lambda/unlost-prod-{role.removesuffix('Role').lower()}:*"
            assert statement["Resource"]["Fn::Sub"].endswith(own)

    def test_handlers_cannot_touch_the_keys_of_the_api(self, template: Template) -> None:
        own = [each for role, each in statements(template) if role == "ProcessRole"]
        table = {"Fn::GetAtt": ["Table", "Arn"]}
        allowed = {
            action
            for each in own
            if each["Effect"] == "Allow" and each["Resource"] == table
            for action in each["Action"]
        }
        [denied] = [each for each in own if each["Effect"] == "Deny"]
        assert denied["Resource"] == table
        assert set(denied["Action"]) == allowed
        assert denied["Condition"] == {
            "ForAnyValue:StringEquals": {"dynamodb:LeadingKeys": [schema.KEYS]}
        }

    def test_who_settles_attempts_may_announce_deaths(self, template: Template) -> None:
        may_send = {
            role
            for role, each in statements(template)
            if "sqs:SendMessage" in listed(each["Action"])
            and {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]} in listed(each["Resource"])
        }
        assert may_send == {"ApiRole", "ProcessRole", "SweepRole"}

    def test_the_api_asks_for_keys_in_every_stage_unless_off_is_written(
        self, packaged: Packaged
    ) -> None:
        for stage in ("dev", "prod"):
            assert environment(packaged(stage), "Api")["UNLOST_KEYS"] == "required"
        assert GIVEN["apiKeys"] == "off"
        assert environment(packaged("live", **GIVEN), "Api")["UNLOST_KEYS"] == "off"

    def test_webhooks_are_off_unless_they_are_asked_for(self, packaged: Packaged) -> None:
        assert environment(packaged("prod"), "Api")["UNLOST_WEBHOOK_SECRET"] == ""
        asked = packaged("live", **GIVEN)
        for function in ("Process", "Sweep"):  # both end tasks
            assert environment(asked, function)["UNLOST_WEBHOOK_URL"] == GIVEN["webhookUrl"]

    def test_a_backlog_is_bounded_and_pages_may_call_only_where_that_is_asked_for(
        self, packaged: Packaged
    ) -> None:
        for stage, given, most, origins in (
            ("prod", {}, None, ()),
            ("live", GIVEN, 5000, ("https://app.example", "https://other.example")),
        ):
            told = environment(packaged(stage, **given), "Api")
            names = ("UNLOST_MAX_OUTSTANDING", "UNLOST_CORS_ORIGIN")
            settings = resolve({}, {name: str(told[name]) for name in names})
            assert (settings.max_outstanding, settings.cors_origin) == (most, origins)


class TestQueues:
    def test_they_are_encrypted_and_keep_messages_as_long_as_there_is(
        self, template: Template
    ) -> None:
        queues = of_type(template, "AWS::SQS::Queue")
        assert len(queues) == 2
        for queue in queues.values():
            assert queue["SqsManagedSseEnabled"] is True
            assert queue["MessageRetentionPeriod"] == 14 * 24 * 3600

    @pytest.mark.parametrize("seconds", [300, 900])
    def test_a_message_stays_hidden_for_six_timeouts_of_its_function(
        self, packaged: Packaged, seconds: int
    ) -> None:
        template = packaged("prod") if seconds == 300 else packaged("live", **GIVEN)
        assert properties(template, "ProcessLambdaFunction")["Timeout"] == seconds
        for function, queue in (("Process", "Queue"), ("Monitor", "DeadLetterQueue")):
            timeout = properties(template, f"{function}LambdaFunction")["Timeout"]
            assert properties(template, queue)["VisibilityTimeout"] >= 6 * timeout

    def test_what_the_code_cannot_decide_reaches_the_dead_letter_queue(
        self, template: Template
    ) -> None:
        redrive = properties(template, "Queue")["RedrivePolicy"]
        assert redrive["deadLetterTargetArn"] == {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}
        # Fewer, and a message that met only throttled functions would be taken for a bad one.
        assert redrive["maxReceiveCount"] >= 5
        assert "RedrivePolicy" not in properties(template, "DeadLetterQueue")

    @pytest.mark.parametrize(
        ("function", "queue"), [("Process", "Queue"), ("Monitor", "DeadLetterQueue")]
    )
    def test_one_bad_message_costs_the_others_nothing(
        self, template: Template, function: str, queue: str
    ) -> None:
        found = mapping(template, function)
        assert found["EventSourceArn"] == {"Fn::GetAtt": [queue, "Arn"]}
        assert found["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert 2 <= found["ScalingConfig"]["MaximumConcurrency"] <= 1000
        assert "MaximumBatchingWindowInSeconds" not in found
        limits = of_type(template, "AWS::Lambda::Function")[f"{function}LambdaFunction"]
        assert "ReservedConcurrentExecutions" not in limits


class TestTable:
    def test_it_is_the_one_that_the_ledger_defines(self, template: Template) -> None:
        table = properties(template, "Table")
        definition = schema.definition("unlost-prod")
        stream = definition.pop("StreamSpecification")
        for name, value in definition.items():
            assert table[name] == value, name
        assert table["StreamSpecification"] == {"StreamViewType": stream["StreamViewType"]}
        assert table["TimeToLiveSpecification"]["AttributeName"] == schema.TIME_TO_LIVE
        assert table["TimeToLiveSpecification"]["Enabled"] is True
        for function in FUNCTIONS:
            assert environment(template, function)["UNLOST_TABLE"] == {"Ref": "Table"}

    def test_it_is_encrypted_and_can_be_brought_back_to_any_second(
        self, template: Template
    ) -> None:
        table = properties(template, "Table")
        assert table["SSESpecification"] == {"SSEEnabled": True}
        assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True

    def test_nothing_but_dev_lets_it_be_deleted(self, packaged: Packaged) -> None:
        for stage, protected, policy in (("prod", True, "Retain"), ("dev", False, "Delete")):
            table = packaged(stage)["Resources"]["Table"]
            assert table["Properties"]["DeletionProtectionEnabled"] is protected
            assert table["DeletionPolicy"] == table["UpdateReplacePolicy"] == policy


class TestCounting:
    def test_changes_of_tasks_are_counted_and_none_is_skipped_or_given_up(
        self, template: Template
    ) -> None:
        found = mapping(template, "Count")
        assert found["EventSourceArn"] == {"Fn::GetAtt": ["Table", "StreamArn"]}
        assert found["StartingPosition"] == "TRIM_HORIZON"
        assert found["MaximumRetryAttempts"] == found["MaximumRecordAgeInSeconds"] == -1
        assert found["BisectBatchOnFunctionError"] is False
        assert found["MaximumBatchingWindowInSeconds"] >= 1
        # One writer at a time to the counters of a shard.
        assert "ParallelizationFactor" not in found
        [only] = found["FilterCriteria"]["Filters"]
        assert json.loads(only["Pattern"]) == {"dynamodb": {"Keys": {"sk": {"S": [schema.TASK]}}}}


class TestFunctions:
    def test_they_run_on_python_3_13_on_arm(self, template: Template) -> None:
        functions = of_type(template, "AWS::Lambda::Function")
        assert set(functions) == {f"{name}LambdaFunction" for name in FUNCTIONS}
        for function in functions.values():
            assert function["Runtime"] == "python3.13"
            assert function["Architectures"] == ["arm64"]

    def test_the_sweep_comes_every_minute_and_never_meets_itself(self, template: Template) -> None:
        [rule] = of_type(template, "AWS::Events::Rule").values()
        assert (rule["ScheduleExpression"], rule["State"]) == ("rate(1 minute)", "ENABLED")
        assert properties(template, "SweepLambdaFunction")["Timeout"] < 60

    @pytest.mark.parametrize("function", ["Process", "Monitor"])
    def test_a_retry_through_its_own_queue_is_not_taken_for_an_endless_loop(
        self, template: Template, function: str
    ) -> None:
        # Lambda's default drops the sixteenth; maxRetries may be a hundred.
        assert properties(template, f"{function}LambdaFunction")["RecursiveLoop"] == "Allow"

    def test_no_run_is_cut_off_by_who_waits_for_it(self, template: Template) -> None:
        assert properties(template, "ApiLambdaFunction")["Timeout"] < 30  # API Gateway's
        given = environment(template, "Process")
        limit = properties(template, "ProcessLambdaFunction")["Timeout"]
        assert float(given["UNLOST_ATTEMPT_TIMEOUT"]) < limit
        assert float(environment(template, "Api")["UNLOST_FUNCTION_TIMEOUT"]) == limit

    def test_the_api_is_throttled_and_logs_each_call(self, template: Template) -> None:
        stage = properties(template, "HttpApiStage")
        assert stage["DefaultRouteSettings"]["ThrottlingRateLimit"] > 0
        assert stage["DefaultRouteSettings"]["ThrottlingBurstLimit"] > 0
        logged = json.loads(stage["AccessLogSettings"]["Format"])
        assert {"requestId", "status", "path"} <= set(logged)

    def test_every_log_is_kept_for_a_while_and_not_for_ever(self, template: Template) -> None:
        groups = of_type(template, "AWS::Logs::LogGroup")
        assert len(groups) == len(FUNCTIONS) + 1
        assert {group["RetentionInDays"] for group in groups.values()} == {30}


class TestAlarms:
    def test_each_way_to_fail_has_one(self, template: Template) -> None:
        watched = {
            (alarm["Namespace"], alarm["MetricName"], str(each["Value"]))
            for alarm in of_type(template, "AWS::CloudWatch::Alarm").values()
            for each in alarm["Dimensions"]
        }
        dead_letters = str({"Fn::GetAtt": ["DeadLetterQueue", "QueueName"]})
        wanted = {
            ("AWS/SQS", "ApproximateAgeOfOldestMessage", dead_letters),
            ("AWS/SQS", "ApproximateNumberOfMessagesVisible", dead_letters),
            ("Unlost", "deadLetters", "unlost-prod"),
            ("Unlost", "unreportedDeaths", "unlost-prod"),
            ("Unlost", "oldestOverdueSeconds", "unlost-prod"),
            ("Unlost", "scheduleLateSeconds", "unlost-prod"),
            ("AWS/ApiGateway", "5xx", str({"Ref": "HttpApi"})),
            ("AWS/Lambda", "IteratorAge", str({"Ref": "CountLambdaFunction"})),
            ("AWS/Lambda", "Invocations", str({"Ref": "SweepLambdaFunction"})),
            ("AWS/DynamoDB", "WriteThrottleEvents", str({"Ref": "Table"})),
        }
        for function in FUNCTIONS:
            of_function = str({"Ref": f"{function}LambdaFunction"})
            wanted |= {
                ("AWS/Lambda", "Errors", of_function),
                ("AWS/Lambda", "Throttles", of_function),
            }
        assert watched == wanted
        # That the sweep is silent is the alarm.
        assert properties(template, "SweepMissing")["TreatMissingData"] == "breaching"

    def test_they_go_to_whoever_was_named_and_to_nobody_else(self, packaged: Packaged) -> None:
        template = packaged("prod")
        topic = template["Resources"]["AlarmTopic"]
        assert topic["Condition"] == "HasAlarmEmail"
        assert template["Parameters"]["AlarmEmail"]["Default"] == ""
        named = packaged("live", **GIVEN)
        assert named["Parameters"]["AlarmEmail"]["Default"] == "ops@example.com"
        to_topic = [{"Fn::If": ["HasAlarmEmail", {"Ref": "AlarmTopic"}, {"Ref": "AWS::NoValue"}]}]
        for alarm in of_type(template, "AWS::CloudWatch::Alarm").values():
            assert alarm["AlarmActions"] == alarm["OKActions"] == to_topic

    def test_the_dashboard_shows_every_function(self, template: Template) -> None:
        body = json.loads(properties(template, "Dashboard")["DashboardBody"]["Fn::Sub"])
        assert all(f"unlost-prod-{each.lower()}" in json.dumps(body) for each in FUNCTIONS)


def test_a_managed_policy_for_ones_own_handlers_reaches_process_alone(packaged: Packaged) -> None:
    roles = of_type(packaged("live", **GIVEN), "AWS::IAM::Role")
    given = {name for name, role in roles.items() if role.get("ManagedPolicyArns")}
    assert given == {"ProcessRole"}
    assert roles["ProcessRole"]["ManagedPolicyArns"] == [GIVEN["handlerPolicies"]]
