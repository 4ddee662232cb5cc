'use strict';

// Runs build.py before osls packages, so that `npx osls deploy` is all there is to do.

const { execFileSync } = require('child_process');
const { existsSync } = require('fs');
const path = require('path');

// The interpreter that `make` prepared has pip; a system's own often has not.
function python() {
  const made = path.resolve(__dirname, '..', '..', '.venv', 'bin', 'python');
  return process.env.UNLOST_BUILD_PYTHON || (existsSync(made) ? made : 'python3');
}

class BuildPlugin {
  constructor(serverless, options, { log }) {
    const build = () => {
      const { target, source } = serverless.service.custom.build;
      const command = [path.join(__dirname, 'build.py'), '--for', target];
      if (source) command.push('--source', path.resolve(__dirname, source));
      const stdio = ['ignore', 'pipe', 'inherit'];
      log.notice(execFileSync(python(), command, { encoding: 'utf8', stdio }).trim());
    };
    this.hooks = {
      'before:package:createDeploymentArtifacts': build,
      'before:deploy:function:packageFunction': build,
    };
  }
}

module.exports = BuildPlugin;
