'use strict'

// An agent from before the schema.

const { useNamespace } = require('../..')

useNamespace('settings').setMany({
  docs: { endpoint: 'https://docs.example/sitemap.xml', retry: '5' },
  news: { endpoint: 'https://news.example/feed' }
})
