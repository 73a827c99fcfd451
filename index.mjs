// One implementation: the ES module only names what the CommonJS module exports, so that both
// share one store and one error class.
import commonhold from './index.js'

export const { openStore, dataStore, useNamespace, listNamespaces, check, DataStoreError } = commonhold
export default commonhold
