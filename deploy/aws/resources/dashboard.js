'use strict';

// One page that answers: does it keep up, what fails, is anything stuck? JSON in YAML would hide it.

const metric = (namespace, name, dimensions, options) => [
  namespace, name, ...Object.entries(dimensions).flat(), options || {},
];

const graph = (title, metrics, { period = 60, stat = 'Sum' } = {}) => ({
  type: 'metric',
  width: 8,
  height: 6,
  properties: { title, metrics, period, stat, region: '${AWS::Region}', view: 'timeSeries' },
});

function widgets(name) {
  const own = (key, options) => metric('Unlost', key, { service: name }, options);
  const lambda = (key, options) =>
    ['api', 'process', 'monitor', 'sweep', 'count'].map((each) =>
      metric('AWS/Lambda', key, { FunctionName: `${name}-${each}` }, { label: each, ...options }));
  const queue = (key, suffix, options) =>
    metric('AWS/SQS', key, { QueueName: `${name}${suffix}` }, options);
  const api = (key, options) => metric('AWS/ApiGateway', key, { ApiId: '${HttpApi}' }, options);
  const table = (key, options) => metric('AWS/DynamoDB', key, { TableName: name }, options);
  return [
    graph('Submitted, and what followed', [
      own('submitted'), own('succeeded'), own('retried'), own('dead'), own('cancelled'),
    ]),
    graph('Attempts', [
      own('attemptsSucceeded'), own('attemptsFailed'), own('attemptsTimedOut'), own('attemptsExcused'),
    ]),
    graph('Oldest overdue task, latest tick, seconds', [
      own('oldestOverdueSeconds'), own('scheduleLateSeconds'),
    ], { stat: 'Maximum' }),
    graph('Dead letters in the ledger', [own('deadLetters'), own('unreportedDeaths')], { stat: 'Maximum' }),
    graph('API', [api('Count'), api('4xx'), api('5xx')]),
    graph('API, milliseconds', [api('Latency', { stat: 'p50' }), api('Latency', { stat: 'p99' })]),
    graph('Queue', [
      queue('ApproximateNumberOfMessagesVisible', ''),
      queue('ApproximateNumberOfMessagesDelayed', ''),
      queue('ApproximateNumberOfMessagesVisible', '-dead-letters'),
    ], { stat: 'Maximum' }),
    graph('Functions: errors', lambda('Errors')),
    graph('Functions: throttles', lambda('Throttles')),
    graph('Functions: longest run, milliseconds', lambda('Duration'), { stat: 'Maximum' }),
    graph('Functions: at once', lambda('ConcurrentExecutions'), { stat: 'Maximum' }),
    graph('Table: units written and read', [
      table('ConsumedWriteCapacityUnits'), table('ConsumedReadCapacityUnits'),
    ]),
    graph('Counters behind, milliseconds', [
      metric('AWS/Lambda', 'IteratorAge', { FunctionName: `${name}-count` }, {}),
    ], { stat: 'Maximum' }),
  ];
}

module.exports = async ({ resolveVariable }) => {
  const name = `${await resolveVariable('self:service')}-${await resolveVariable('sls:stage')}`;
  return {
    Resources: {
      Dashboard: {
        Type: 'AWS::CloudWatch::Dashboard',
        Properties: {
          DashboardName: name,
          DashboardBody: { 'Fn::Sub': JSON.stringify({ widgets: widgets(name) }) },
        },
      },
    },
  };
};
