'use strict';

// What follows from the parameters by more than copying; serverless.yml reads it as
// ${file(./derived.js):...}.

const asked = (name) => async ({ resolveVariable }) => resolveVariable(`param:${name}`);

module.exports = {
  // AWS asks for six times the function's timeout, so that a batch that is throttled and tried
  // again is not handed to a second function meanwhile.
  visibility: async (context) => 6 * Number(await asked('processTimeout')(context)),

  handlerPolicies: async (context) =>
    (await asked('handlerPolicies')(context)).split(',').filter((arn) => arn),

  // Nothing outside `dev` is deleted by an edit of the template or by `osls remove`.
  deletionPolicy: async ({ resolveVariable }) =>
    (await resolveVariable('sls:stage')) === 'dev' ? 'Delete' : 'Retain',

  deletionProtection: async ({ resolveVariable }) => (await resolveVariable('sls:stage')) !== 'dev',
};
